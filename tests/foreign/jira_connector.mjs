// https://www.npmjs.com/package/jira-connector: the whole way.
import JiraConnector from 'jira-connector';

const { JIRA_USER: email, JIRA_TOKEN, JIRA_ISSUE: issueKey } = process.env;
const url = new URL(process.env.JIRA_URL);
const link = JSON.parse(process.env.JIRA_LINK);
const changed = JSON.parse(process.env.JIRA_CHANGED);

const connect = (token) =>
  new JiraConnector({
    protocol: 'http',
    host: url.hostname,
    port: url.port,
    basic_auth: { email, api_token: token },
  }).issue;

// It rejects with the answer's text, which holds the response's status.
const status = (error) => error.statusCode ?? JSON.parse(error).statusCode;

const step = async (name, call) => {
  let told;
  try {
    told = { answer: (await call()) ?? null };
  } catch (error) {
    told = { error: status(error) };
  }
  console.log(JSON.stringify({ step: name, ...told }));
  return told.answer;
};

const jira = connect(JIRA_TOKEN);
const post = () => jira.createRemoteLink({ issueKey, remoteLink: link });
const linkId = (await step('create', post)).id;
const one = { issueKey, linkId };
const { globalId } = link;
await step('again', post);
await step('list', () => jira.getRemoteLinks({ issueKey }));
await step('get', () => jira.getRemoteLinkById(one));
await step('find', () => jira.getRemoteLinks({ issueKey, globalId }));
await step('update', () => jira.updateRemoteLinkById({ ...one, remoteLink: changed }));
await step('reread', () => jira.getRemoteLinkById(one));
await step('delete', () => jira.deleteRemoteLinkById(one));
await step('remake', post);
await step('drop', () => jira.deleteRemoteLink({ issueKey, globalId }));
await step('missing', () => jira.getRemoteLinks({ issueKey: 'NONE-1' }));
await step('stranger', () => connect('wrong').getRemoteLinks({ issueKey }));

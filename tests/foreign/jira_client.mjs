// https://www.npmjs.com/package/jira-client: it makes, lists and deletes links.
import JiraApi from 'jira-client';

const { JIRA_AUTH, JIRA_USER: username, JIRA_TOKEN, JIRA_ISSUE: issue } = process.env;
const url = new URL(process.env.JIRA_URL);
const link = JSON.parse(process.env.JIRA_LINK);

const connect = (token) =>
  new (JiraApi.default ?? JiraApi)({
    protocol: 'http',
    host: url.hostname,
    port: url.port,
    ...(JIRA_AUTH === 'basic' ? { username, password: token } : { bearer: token }),
  });

const step = async (name, call) => {
  let told;
  try {
    told = { answer: (await call()) ?? null };
  } catch {
    told = { error: 'untold' }; // its errors have Jira's words and no status
  }
  console.log(JSON.stringify({ step: name, ...told }));
  return told.answer;
};
const cannot = (name) => console.log(JSON.stringify({ step: name, cannot: true }));

const jira = connect(JIRA_TOKEN);
const { id } = await step('create', () => jira.createRemoteLink(issue, link));
await step('again', () => jira.createRemoteLink(issue, link));
await step('list', () => jira.getRemoteLinks(issue));
['get', 'find', 'update', 'reread'].forEach(cannot);
await step('delete', () => jira.deleteRemoteLink(issue, id));
await step('remake', () => jira.createRemoteLink(issue, link));
cannot('drop');
await step('missing', () => jira.getRemoteLinks('NONE-1'));
await step('stranger', () => connect('wrong').getRemoteLinks(issue));

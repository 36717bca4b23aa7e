// https://www.npmjs.com/package/jira.js: the whole way. It checks each answer by a schema.
import { createCloudClient } from 'jira.js';

const { JIRA_URL: host, JIRA_AUTH, JIRA_USER: email, JIRA_TOKEN, JIRA_ISSUE: issueIdOrKey } = process.env;
const link = JSON.parse(process.env.JIRA_LINK);
const changed = JSON.parse(process.env.JIRA_CHANGED);

const connect = (token) =>
  createCloudClient({
    host,
    auth: JIRA_AUTH === 'basic' ? { type: 'basic', email, apiToken: token } : { type: 'bearer', token },
  }).issueRemoteLinks;

const step = async (name, call) => {
  let told;
  try {
    told = { answer: (await call()) ?? null };
  } catch (error) {
    told = { error: error.status ?? String(error) };
  }
  console.log(JSON.stringify({ step: name, ...told }));
  return told.answer;
};

const jira = connect(JIRA_TOKEN);
const post = () => jira.createOrUpdateRemoteIssueLink({ issueIdOrKey, ...link });
const linkId = String((await step('create', post)).id);
const one = { issueIdOrKey, linkId };
const { globalId } = link;
await step('again', post);
await step('list', () => jira.getRemoteIssueLinks({ issueIdOrKey }));
await step('get', () => jira.getRemoteIssueLinkById(one));
await step('find', () => jira.getRemoteIssueLinks({ issueIdOrKey, globalId }));
await step('update', () => jira.updateRemoteIssueLink({ ...one, ...changed }));
await step('reread', () => jira.getRemoteIssueLinkById(one));
await step('delete', () => jira.deleteRemoteIssueLinkById(one));
await step('remake', post);
await step('drop', () => jira.deleteRemoteIssueLinkByGlobalId({ issueIdOrKey, globalId }));
await step('missing', () => jira.getRemoteIssueLinks({ issueIdOrKey: 'NONE-1' }));
await step('stranger', () => connect('wrong').getRemoteIssueLinks({ issueIdOrKey }));

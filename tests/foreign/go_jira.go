// https://pkg.go.dev/github.com/andygrunwald/go-jira: it makes, lists and updates links.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	jira "github.com/andygrunwald/go-jira"
)

func connect(token string) *jira.IssueService {
	var client *http.Client
	if os.Getenv("JIRA_AUTH") == "basic" {
		client = (&jira.BasicAuthTransport{Username: os.Getenv("JIRA_USER"), Password: token}).Client()
	} else {
		client = (&jira.PATAuthTransport{Token: token}).Client()
	}
	made, err := jira.NewClient(client, os.Getenv("JIRA_URL"))
	if err != nil {
		panic(err)
	}
	return made.Issue
}

func tell(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func step(name string, answer any, response *jira.Response, err error) {
	switch {
	case err == nil:
		tell(map[string]any{"step": name, "answer": answer})
	case response != nil && response.StatusCode >= 400:
		tell(map[string]any{"step": name, "error": response.StatusCode})
	default:
		tell(map[string]any{"step": name, "error": err.Error()})
	}
}

func link(variable string) *jira.RemoteLink {
	read := new(jira.RemoteLink)
	if err := json.Unmarshal([]byte(os.Getenv(variable)), read); err != nil {
		panic(err)
	}
	return read
}

func main() {
	issue := os.Getenv("JIRA_ISSUE")
	issues := connect(os.Getenv("JIRA_TOKEN"))
	made, response, err := issues.AddRemoteLink(issue, link("JIRA_LINK"))
	step("create", made, response, err)
	again, response, err := issues.AddRemoteLink(issue, link("JIRA_LINK"))
	step("again", again, response, err)
	all, response, err := issues.GetRemoteLinks(issue)
	step("list", all, response, err)
	response, err = issues.UpdateRemoteLink(issue, made.ID, link("JIRA_CHANGED"))
	step("update", nil, response, err)
	all, response, err = issues.GetRemoteLinks(issue)
	step("reread", all, response, err)
	for _, name := range []string{"get", "find", "delete", "remake", "drop"} {
		tell(map[string]any{"step": name, "cannot": true})
	}
	all, response, err = issues.GetRemoteLinks("NONE-1")
	step("missing", all, response, err)
	all, response, err = connect("wrong").GetRemoteLinks(issue)
	step("stranger", all, response, err)
}

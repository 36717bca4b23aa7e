// https://pkg.go.dev/github.com/ctreminiom/go-atlassian/v2: all but reading by globalId, where it
// expects a list and Jira answers with one link.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	jira "github.com/ctreminiom/go-atlassian/v2/jira/v3"
	"github.com/ctreminiom/go-atlassian/v2/pkg/infra/models"
)

func connect(token string) *jira.Client {
	client, err := jira.New(nil, os.Getenv("JIRA_URL"))
	if err != nil {
		panic(err)
	}
	if os.Getenv("JIRA_AUTH") == "basic" {
		client.Auth.SetBasicAuth(os.Getenv("JIRA_USER"), token)
	} else {
		client.Auth.SetBearerToken(token)
	}
	return client
}

func tell(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func step(name string, answer any, response *models.ResponseScheme, err error) {
	switch {
	case err == nil:
		tell(map[string]any{"step": name, "answer": answer})
	case response != nil && response.Code >= 400:
		tell(map[string]any{"step": name, "error": response.Code})
	default:
		tell(map[string]any{"step": name, "error": err.Error()})
	}
}

func link(variable string) *models.RemoteLinkScheme {
	read := new(models.RemoteLinkScheme)
	if err := json.Unmarshal([]byte(os.Getenv(variable)), read); err != nil {
		panic(err)
	}
	return read
}

func main() {
	ctx, issue, made := context.Background(), os.Getenv("JIRA_ISSUE"), link("JIRA_LINK")
	remote := connect(os.Getenv("JIRA_TOKEN")).Issue.Link.Remote
	first, response, err := remote.Create(ctx, issue, made)
	step("create", first, response, err)
	id := strconv.Itoa(first.ID)
	again, response, err := remote.Create(ctx, issue, made)
	step("again", again, response, err)
	all, response, err := remote.Gets(ctx, issue, "")
	step("list", all, response, err)
	one, response, err := remote.Get(ctx, issue, id)
	step("get", one, response, err)
	tell(map[string]any{"step": "find", "cannot": true})
	response, err = remote.Update(ctx, issue, id, link("JIRA_CHANGED"))
	step("update", nil, response, err)
	one, response, err = remote.Get(ctx, issue, id)
	step("reread", one, response, err)
	response, err = remote.DeleteByID(ctx, issue, id)
	step("delete", nil, response, err)
	first, response, err = remote.Create(ctx, issue, made)
	step("remake", first, response, err)
	response, err = remote.DeleteByGlobalID(ctx, issue, made.GlobalID)
	step("drop", nil, response, err)
	all, response, err = remote.Gets(ctx, "NONE-1", "")
	step("missing", all, response, err)
	all, response, err = connect("wrong").Issue.Link.Remote.Gets(ctx, issue, "")
	step("stranger", all, response, err)
}

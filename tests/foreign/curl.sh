#!/bin/sh
# The six operations with curl alone.
set -eu
links=$JIRA_URL/rest/api/3/issue/$JIRA_ISSUE/remotelink
global_id=$(printf %s "$JIRA_LINK" | sed 's/.*"globalId": "\([^"]*\)".*/\1/')

# ask TOKEN ARGUMENT...: the body, and the status on a line of its own.
ask() {
  token=$1
  shift
  if [ "$JIRA_AUTH" = basic ]; then
    curl -sS -u "$JIRA_USER:$token" -H 'Accept: application/json' -w '\n%{http_code}\n' "$@"
  else
    curl -sS -H "Authorization: Bearer $token" -H 'Accept: application/json' -w '\n%{http_code}\n' "$@"
  fi
}

# step NAME TOKEN ARGUMENT...: do it and tell.
step() {
  name=$1
  shift
  said=$(ask "$@")
  status=$(printf '%s' "$said" | tail -n 1)
  body=$(printf '%s' "$said" | sed '$d')
  if [ "$status" -ge 400 ]; then
    echo "{\"step\": \"$name\", \"error\": $status}"
  else
    echo "{\"step\": \"$name\", \"answer\": ${body:-null}}"
  fi
}

write() { step "$1" "$JIRA_TOKEN" -H 'Content-Type: application/json' -X "$2" -d "$3" "$4"; }

first=$(write create POST "$JIRA_LINK" "$links")
echo "$first"
one=$links/$(echo "$first" | sed 's/.*"id": *\([0-9]*\).*/\1/')
write again POST "$JIRA_LINK" "$links"
step list "$JIRA_TOKEN" "$links"
step get "$JIRA_TOKEN" "$one"
step find "$JIRA_TOKEN" -G --data-urlencode "globalId=$global_id" "$links"
write update PUT "$JIRA_CHANGED" "$one"
step reread "$JIRA_TOKEN" "$one"
step delete "$JIRA_TOKEN" -X DELETE "$one"
write remake POST "$JIRA_LINK" "$links"
step drop "$JIRA_TOKEN" -X DELETE -G --data-urlencode "globalId=$global_id" "$links"
step missing "$JIRA_TOKEN" "$JIRA_URL/rest/api/3/issue/NONE-1/remotelink"
step stranger wrong "$links"

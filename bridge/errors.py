"""The error tree. Each error that an operator may meet has a code and says what to do.

`code` is stable: it stands in metrics, logs, dead letters and `explain`. `advice` is the
sentence that goes with it. Messages never hold a secret or a whole body.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class BridgeError(Exception):
    """The root of all errors that the bridge raises on purpose."""

    code: ClassVar[str] = "error"
    advice: ClassVar[str] = ""


# --- what the user can put right -----------------------------------------------------------


class ConfigError(BridgeError):
    """The configuration cannot be used; the message names the place (file, line, key)."""

    code = "config_invalid"
    advice = "Correct the named key; `jira-bridge config check FILE` shows all that is wrong."


class UsageError(ConfigError):
    """A flag, an argument or a file that a command was given cannot be used."""

    code = "wrong_usage"
    advice = "`jira-bridge COMMAND --help` shows how the command is used."


class WrongMapping(ConfigError):
    """A mapping file cannot be read; the message names the place (file, line, column, key)."""

    code = "mapping_invalid"
    advice = "Correct the named key; `jira-bridge mapping lint FILE` shows all that is wrong, or looks so."


class LedgerBusy(BridgeError):
    """Another process has the ledger: SQLite's serves one, and one that is made anew serves none."""

    code = "ledger_busy"
    advice = (
        "Stop the other worker, or give this one a ledger of its own: SQLite serves one process, and a "
        "rebuild has the ledger to itself."
    )


class LedgerFormat(BridgeError):
    """The ledger was written by a version of the bridge that this one does not know."""

    code = "ledger_format"
    advice = (
        "Run `jira-bridge ledger migrate` where the ledger is older or has no tables; else use the version "
        "of jira-bridge that wrote it, or a later one."
    )


class LedgerUnavailable(BridgeError):
    """The database did not do a transaction: it is away or locked, or its disk is full or read-only.

    The transaction may have been done where the answer was lost.
    """

    code = "ledger_unavailable"
    advice = (
        "See that `ledger.url` names the ledger, that its server answers or its folder is there, with room "
        "and the right to write; the bridge goes on by itself."
    )


class LedgerCorrupt(BridgeError):
    """The ledger's file or tables are damaged."""

    code = "ledger_corrupt"
    advice = (
        "Stop the worker and restore the ledger from a backup, or have `jira-bridge ledger rebuild` make it "
        "anew from the topics and Jira."
    )


class LeaseLost(BridgeError):
    """Another worker writes the site by now: what this one was about to store is not stored."""

    code = "lease_lost"
    advice = "Nothing to do; what was under way is looked up by the worker that has the lease now."


class TopicUnfit(BridgeError):
    """A Kafka topic is missing or its settings would lose data."""

    code = "topic_unfit"
    advice = "Change the named settings of the topic, or let the bridge create it."


class KafkaUnavailable(BridgeError):
    """The broker could not be reached or did not acknowledge in time. Nothing was taken."""

    code = "kafka_unavailable"
    advice = "Check the broker and its address; the sender may try again."


class PositionMoved(BridgeError):
    """The ledger's position in a partition is not where this consumer left it.

    Another worker of the group has merged further: this one is late and must read again from
    the ledger's position.
    """

    code = "position_moved"
    advice = "Nothing to do; the worker goes on from the ledger's position."


class PositionLost(BridgeError):
    """The position of the ledger, or else the group's, is no longer in the topic: records were deleted."""

    code = "position_lost"
    advice = (
        "Records were deleted before they were read, or the topic was made anew. Start once with "
        "--on-lost-position earliest to go on from the oldest record that is left."
    )


class MemberFenced(BridgeError):
    """Another process has joined the group with this one's `kafka.instance_id`, and has its partitions."""

    code = "member_fenced"
    advice = "Give each worker an instance id of its own, or stop the other one; then start this one again."


# --- what is wrong with one delivery or one record -----------------------------------------


class Refused(BridgeError):
    """Ingress does not take the delivery. `status` is the HTTP status of the answer."""

    status: ClassVar[int] = 400


class BadSignature(Refused):
    """No secret of the endpoint signs this body: forged, damaged, or the wrong secret."""

    code = "bad_signature"
    status = 401
    advice = "Compare the secret at the sender with the endpoint's; both may be listed during a rotation."


class BadRequest(Refused):
    """The delivery lacks what its source always sends (an event type, a body)."""

    code = "bad_request"
    status = 400
    advice = "Check that the sender is of the source that the endpoint is configured for."


class WrongContentType(Refused):
    """The delivery's content type is not one that its source sends."""

    code = "wrong_content_type"
    status = 415
    advice = "Set the webhook's content type to application/json at the sender."


class EndpointUnreachable(BridgeError):
    """The address that a sample was sent to does not answer."""

    code = "endpoint_unreachable"
    advice = "See that ingress runs, and that its address and port are right."


class Unmappable(BridgeError):
    """A record that cannot become changes. It goes to the dead-letter topic with its reason."""

    code = "unmappable"
    advice = "Correct the producer or the mapping; the dead letter's headers hold the error. Then replay it."


class BadEnvelope(Unmappable):
    """Neither the bridge's own envelope nor a CloudEvent."""

    code = "bad_envelope"
    advice = "Let producers send CloudEvents 1.0, or webhooks come in through ingress."


class BadBody(Unmappable):
    """The body is not the JSON that its source sends."""

    code = "bad_body"
    advice = "Look at the body in the dead letter; the sender may be set to another content type."


class UnknownSource(Unmappable):
    """No source or mapping of that name is installed here."""

    code = "unknown_source"
    advice = "Install the package that has the source, or correct the endpoint's `source`."


class UnknownSite(Unmappable):
    """The payload names a Jira site that is not configured, or takes no events of the endpoint."""

    code = "unknown_site"
    advice = "Add the site to `sites`, or correct the endpoint's `site` under `routing`; then replay it."


class BadLink(Unmappable):
    """The link that the event asks for could never stand in Jira (no title, a bad URL…)."""

    code = "bad_link"
    advice = "Correct the named field at the producer, or in the mapping."


class SourceFailed(Unmappable):
    """The code of a source or a mapping failed on the record. Its other records are read on."""

    code = "source_failed"
    advice = "Report it with the dead letter to whoever wrote that code; replay the letter once it is mended."


class FromTheFuture(Unmappable):
    """The event's time is further ahead of its record's than the allowed skew."""

    code = "future"
    advice = "Correct the producer's clock; an event from the future would win over all news until then."


# --- what Jira said ------------------------------------------------------------------------


class Applied(StrEnum):
    """Whether a request that failed may have taken effect in Jira."""

    NO = "no"
    MAYBE = "maybe"


class Scope(StrEnum):
    """What a rate limit slows down."""

    ISSUE = "issue"
    METHOD = "method"
    SITE = "site"


class JiraError(BridgeError):
    """Jira did not do what was asked.

    `status` is the HTTP status, None when no answer came. `operation` is Atlassian's operationId.
    `messages` and `fields` are Jira's own texts, localised: for people only. `trace_id` and
    `request_id` are what Atlassian's support asks for (`ATL-TraceId`, `X-AREQUESTID`).
    """

    code = "jira_error"
    applied: ClassVar[Applied] = Applied.NO

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        issue: str | None = None,
        operation: str | None = None,
        messages: tuple[str, ...] = (),
        fields: dict[str, str] | None = None,
        trace_id: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        scope: Scope = Scope.SITE,
    ) -> None:
        """`retry_after` is in seconds and a minimum; `scope` says what a 429 slows down."""
        super().__init__(message)
        self.status = status
        self.issue = issue
        self.operation = operation
        self.messages = messages
        self.fields = fields or {}
        self.trace_id = trace_id
        self.request_id = request_id
        self.retry_after = retry_after
        self.scope = scope


class JiraRejected(JiraError):
    """The request itself is at fault; the same one will fail again."""


class JiraBadRequest(JiraRejected):
    """400 (or 415, 422): a field that Jira refuses."""

    code = "jira_bad_request"
    advice = "Read Jira's field errors; correct the mapping or the producer, then deliver the event again."

    @property
    def is_blank(self) -> bool:
        """Whether it is a 400 without a reason: two first writes of one globalId collided."""
        return self.status == 400 and not self.messages and not self.fields  # noqa: PLR2004


class JiraForbidden(JiraRejected):
    """403: the account may not link issues of this project, or issue linking is switched off."""

    code = "jira_forbidden"
    advice = "Give the account Browse Projects and Link Issues in the project, then deliver the event again."


class JiraNotFound(JiraRejected):
    """404: the issue or the link does not exist, or the account may not see it."""

    code = "jira_not_found"
    advice = "Check that the issue exists and that the bridge's account may browse its project."


class JiraTooManyLinks(JiraRejected):
    """413: the issue has as many remote links as Jira allows (2,000)."""

    code = "jira_too_many_links"
    advice = "Delete links of that issue that nobody needs, then deliver the event again."


class JiraUnauthorized(JiraError):
    """401, or a header that says the credentials failed. The whole site waits."""

    code = "jira_unauthorized"
    advice = "Renew the site's API token or its scopes; the bridge goes on by itself when it is accepted."


class JiraLoginDenied(JiraUnauthorized):
    """Jira asks for a CAPTCHA or has locked the login; each further try prolongs it."""

    code = "jira_login_denied"
    advice = "Log in once by hand with the bridge's account to clear the CAPTCHA."


class JiraRateLimited(JiraError):
    """429: too many requests. `retry_after` is a minimum, `scope` is what to slow down."""

    code = "jira_rate_limited"
    advice = "Nothing to do; the bridge waits as long as Jira says."


class JiraUnavailable(JiraError):
    """5xx: the request may have taken effect."""

    code = "jira_unavailable"
    advice = "Look at Jira's status page; the bridge tries again for as long as it takes."
    applied = Applied.MAYBE


class JiraForeignAnswer(JiraUnavailable):
    """A page, a redirect or another answer that is not Jira's: something in between speaks for it."""

    code = "jira_foreign_answer"
    advice = (
        "Look at Jira's status page where it is a 5xx; else check the site's URL, and what lies before Jira: "
        "a proxy, a firewall, single sign-on that asks the bridge to log in. The bridge tries again."
    )


class JiraAnswerLost(JiraError):
    """The request left and no whole answer came back: it may have taken effect."""

    code = "jira_answer_lost"
    advice = "Nothing to do; the bridge looks the link up before it writes again."
    applied = Applied.MAYBE


class JiraUnreachable(JiraError):
    """No connection: the request never left."""

    code = "jira_unreachable"
    advice = "Check the site's URL, the network and its proxy; the bridge tries again."

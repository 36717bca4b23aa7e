"""/_simulator: what a tester turns, asks and makes while the simulator runs. Pure.

docs/simulator.md shows each path with curl.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from pydantic import TypeAdapter, ValidationError

from bridge.simulator.faults import KNOBS
from bridge.simulator.jira_model import Entry
from bridge.simulator.reply import Reply, refusal
from bridge.simulator.script import RULES, STEPS, Script
from bridge.simulator.simulation import Simulation
from bridge.simulator.users import DENIED, USER

ROOT = "/_simulator"

_CHANGES = TypeAdapter(dict[str, Any])
_MOVE = TypeAdapter(dict[str, str])


class Asked(NamedTuple):
    """A request to the simulator: `name` is the path's last part, where a name stands there."""

    name: str
    query: str
    body: bytes
    now: float


class Admin:
    """Answers for one simulation. What is refused changes nothing.

    Attributes:
        paths: what there is, as (method, path) with `*` for a name, and the function that does it.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._model = simulation.site.model
        self.paths: Mapping[tuple[str, str], Callable[[Asked], Reply]] = {
            ("GET", ""): lambda _: _ok(simulation.state()),
            ("POST", "reset"): self._reset,
            ("GET", "knobs"): self._knobs,
            ("PUT", "knobs"): self._put_knobs,
            ("PATCH", "knobs"): self._patch_knobs,
            ("GET", "script"): lambda _: _ok(RULES.dump_python(list(simulation.script.rules), mode="json")),
            ("PUT", "script"): self._put_script,
            ("GET", "timeline"): lambda _: _ok(STEPS.dump_python(simulation.timeline.steps, mode="json")),
            ("PUT", "timeline"): self._put_timeline,
            ("GET", "issues"): lambda _: _ok(simulation.issues()),
            ("PUT", "issues/*"): self._add_issue,
            ("PATCH", "issues/*"): self._move_issue,
            ("DELETE", "issues/*"): self._delete_issue,
            ("GET", "users"): self._users,
            ("PUT", "users/*"): self._put_user,
            ("DELETE", "users/*"): self._delete_user,
            ("GET", "denied"): lambda _: _ok(_listed(self._model.denied)),
            ("PUT", "denied"): self._put_denied,
            ("GET", "history"): lambda _: _ok({"history": list(map(_line, self._model.history))}),
            ("GET", "calls"): self._calls,
            ("DELETE", "calls"): self._clear_calls,
        }

    def answer(self, method: str, target: str, body: bytes, now: float) -> Reply:
        """What is answered to a path below /_simulator; `now` in seconds since the epoch."""
        path, _, query = target.partition("?")
        kind, _, name = path.removeprefix(ROOT).strip("/").partition("/")
        pattern = f"{kind}/*" if name else kind
        allowed = [each for each, known in self.paths if known == pattern]
        if not allowed:
            return refusal(404, "There is no such path.")
        if method not in allowed:
            return refusal(405, "Method Not Allowed", headers={"Allow": ",".join(allowed)})
        try:
            return self.paths[method, pattern](Asked(unquote(name), query, body, now))
        except ValidationError as error:
            return refusal(
                400, "This is not as it should be; nothing was changed.", errors=_faults(error, kind)
            )
        except ValueError as error:
            return refusal(400, f"{error}; nothing was changed.")

    def _reset(self, _asked: Asked) -> Reply:
        self._simulation.reset()
        return Reply(204)

    # --- faults ----------------------------------------------------------------------------

    def _knobs(self, asked: Asked) -> Reply:
        self._simulation.advance(asked.now)
        return _ok(KNOBS.dump_python(self._simulation.knobs, mode="json"))

    def _put_knobs(self, asked: Asked) -> Reply:
        self._simulation.knobs = KNOBS.validate_json(asked.body)
        return self._knobs(asked)

    def _patch_knobs(self, asked: Asked) -> Reply:
        self._simulation.knobs = self._simulation.knobs.turned(_CHANGES.validate_json(asked.body))
        return self._knobs(asked)

    def _put_script(self, asked: Asked) -> Reply:
        self._simulation.script = Script(RULES.validate_json(asked.body))
        return Reply(204)

    def _put_timeline(self, asked: Asked) -> Reply:
        self._simulation.plan(STEPS.validate_json(asked.body), asked.now)
        return Reply(204)

    # --- issues and users ------------------------------------------------------------------

    def _add_issue(self, asked: Asked) -> Reply:
        issue = self._model.add(asked.name)
        return Reply(201, {}, {"id": issue.id, "key": issue.key})

    def _move_issue(self, asked: Asked) -> Reply:
        match _MOVE.validate_json(asked.body):
            case {"key": new_key, **others} if not others:
                self._model.move_issue(asked.name, new_key)
                return Reply(204)
        raise ValueError('expected {"key": "NEW-1"}')

    def _delete_issue(self, asked: Asked) -> Reply:
        self._model.delete_issue(asked.name)
        return Reply(204)

    def _users(self, _asked: Asked) -> Reply:
        """The users without their secrets."""
        users = self._simulation.site.users
        secret = {"token", "refresh_token"}
        return _ok(
            {name: USER.dump_python(users[name], mode="json", exclude=secret) for name in users.names()}
        )

    def _put_user(self, asked: Asked) -> Reply:
        self._simulation.site.users.put(asked.name, USER.validate_json(asked.body))
        return Reply(204)

    def _delete_user(self, asked: Asked) -> Reply:
        self._simulation.site.users.remove(asked.name)
        return Reply(204)

    def _put_denied(self, asked: Asked) -> Reply:
        self._model.denied = DENIED.validate_json(asked.body)
        return Reply(204)

    # --- what was seen ---------------------------------------------------------------------

    def _calls(self, asked: Asked) -> Reply:
        after = parse_qs(asked.query).get("after", ["0"])[-1]
        if not after.isascii() or not after.isdigit():
            raise ValueError("expected ?after=N")
        calls = [call for call in self._simulation.calls if call.number > int(after)]
        return _ok({"calls": calls, "last": self._simulation.last})

    def _clear_calls(self, _asked: Asked) -> Reply:
        self._simulation.clear()
        return Reply(204)


def _ok(body: object) -> Reply:
    return Reply(200, {}, body)


def _listed(denied: Mapping[str, Any]) -> dict[str, list[str]]:
    return {project: sorted(permissions) for project, permissions in denied.items()}


def _line(entry: Entry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "issue": entry.issue,
        "action": entry.action,
        "id": entry.link_id,
        "globalId": entry.global_id,
        "needless": entry.needless,
        "answered": entry.is_answered,
        "body": entry.body(),
    }


def _faults(error: ValidationError, kind: str) -> dict[str, str]:
    """What is wrong, by where it stands in the body."""
    return {".".join(map(str, fault["loc"])) or kind: fault["msg"] for fault in error.errors()}

"""temp"""

from bridge.model import *
from bridge.errors import *
from bridge.ports import Answer


class JiraOracle:
    def __init__(self):
        self.store = {}
        self.needless = []
        self.calls = 0
        self.next = 1

    def links(self):
        return {k: v[1] for k, v in self.store.items()}

    def ask(self, call, *, is_applied, is_lost):
        self.calls += 1
        if not is_applied:
            return JiraUnreachable("x")
        a = self._do(call)
        return JiraAnswerLost("x") if is_lost else a

    def _do(self, call) -> Answer:
        k = (call.key.issue, call.key.global_id)
        if call.kind in (CallKind.CREATE, CallKind.UPDATE):
            old = self.store.get(k)
            if old and old[1].normal == call.link.normal:
                self.needless.append(call)
            i = old[0] if old else self.next
            self.next += 1
            self.store[k] = (i, call.link)
            return Written(i, call.key.issue, not old)
        if call.kind is CallKind.DELETE:
            return Deleted() if self.store.pop(k, None) else JiraNotFound("x", status=404)
        if call.kind is CallKind.LOOK_UP:
            return (
                Found(RemoteLink(k in self.store and self.store[k][0], k[0], self.store[k][1], k[1]))
                if k in self.store
                else JiraNotFound("x", status=404)
            )
        return Listed(
            tuple(RemoteLink(v[0], q[0], v[1], q[1]) for q, v in self.store.items() if q[0] == k[0])
        )

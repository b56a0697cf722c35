"""The tests of the session contract and of the session API once more, with the sessions in a real Redis."""

import unittest

import contract_test
import session_api_refused_test
import session_api_test
import session_test
from cluster import Node, need_redis


def setUpModule():
    need_redis()
    OnRedis.node = Node()
    unittest.addModuleCleanup(OnRedis.node.close)


class OnRedis:
    """Before a test case: its batons keep their sessions in the node, which is empty at first."""

    node = None

    def setUp(self):
        self.node.ask("FLUSHALL")
        super().setUp()

    def baton(self, servers=(), *, session=None, **keys):
        password = self.file("password", self.node.password)
        password.chmod(0o600)
        return super().baton(servers, session={"store": "redis", **(session or {})},
                             redis={"address": self.node.address, "password_file": str(password)}, **keys)


class Identity(OnRedis, session_test.IdentityTest):
    pass


class Attribute(OnRedis, session_test.AttributeTest):
    pass


class End(OnRedis, session_test.EndTest):
    test_table_limit_keeps_confirmed_sessions = None  # the table in memory has that limit


class Conflict(OnRedis, contract_test.ConflictTest):
    pass


class Fields(OnRedis, contract_test.FieldsTest):
    pass


class Straggler(OnRedis, contract_test.StragglerTest):
    pass


class Time(OnRedis, contract_test.TimeTest):
    pass


class Tunnel(OnRedis, contract_test.TunnelTest):
    pass


class Calls(OnRedis, session_api_test.CallsTest):
    pass


class Use(OnRedis, session_api_test.UseTest):
    pass


class Life(OnRedis, session_api_test.LifeTest):
    test_reading_a_session_does_not_confirm_it = None  # only memory is ever full of sessions


class Refusals(OnRedis, session_api_refused_test.RefusalsTest):
    def metric(self, baton, name):
        """Redis is asked for what the table in memory counts itself."""
        return self.node.ask("DBSIZE") if name == "baton_sessions" else super().metric(baton, name)


if __name__ == "__main__":
    unittest.main()

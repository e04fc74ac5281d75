"""The table: every job's head and history, the deliveries, the cursors."""

from __future__ import annotations

from typing import cast

from aws_cdk import CfnElement, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra.constructs.acknowledged import acknowledge
from infra.constructs.functions import Function

STRING = dynamodb.AttributeType.STRING


class History(Construct):
    """One table with four indexes. It outlives the stack, and its stream carries what is put into it."""

    def __init__(self, scope: Construct, construct_id: str, *, protected: bool) -> None:
        super().__init__(scope, construct_id)
        self._table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="PK", type=STRING),
            sort_key=dynamodb.Attribute(name="SK", type=STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute="expires_at",
            stream=dynamodb.StreamViewType.NEW_IMAGE,
            removal_policy=RemovalPolicy.RETAIN,
            deletion_protection=protected,
        )
        self._index("due", "due_slot", "PK", "due_row")
        self._index(
            "by_state",
            "connection_state",
            "changed_at",
            *("snapshot", "version", "labels", "due_slot", "lost", "observed_at"),
        )
        self._index("timeline", "day", "moment", "event", "event_id", "detail_type")
        self._index("unpublished", "unpublished", "recorded_at")

    @property
    def name(self) -> str:
        return self._table.table_name

    @property
    def stream_arn(self) -> str:
        return cast("str", self._table.table_stream_arn)

    def grant_recording(self, function: Function) -> None:
        """Read a head, put and update items: a transaction needs just its writes' permissions."""
        function.may("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", on=[self._table.table_arn])

    def grant_looking_up(self, function: Function) -> None:
        """Read many heads at once."""
        function.may("dynamodb:BatchGetItem", on=[self._table.table_arn])

    def grant_marking(self, function: Function) -> None:
        """Take the mark off a published entry."""
        function.may("dynamodb:UpdateItem", on=[self._table.table_arn])

    def grant_correcting(self, function: Function) -> None:
        """Read an item again and update it."""
        function.may("dynamodb:GetItem", "dynamodb:UpdateItem", on=[self._table.table_arn])

    def grant_listing(self, function: Function) -> None:
        """Go through a job's items, the jobs by state and by slot, and the timeline."""
        indexes = [f"{self._table.table_arn}/index/{name}" for name in ("by_state", "due", "timeline")]
        function.may("dynamodb:Query", on=[self._table.table_arn, *indexes])

    def grant_querying(self, function: Function, index: str) -> None:
        function.may("dynamodb:Query", on=[f"{self._table.table_arn}/index/{index}"])

    def grant_scanning(self, function: Function, index: str) -> None:
        function.may("dynamodb:Scan", on=[f"{self._table.table_arn}/index/{index}"])

    def grant_reading_stream(self, function: Function) -> None:
        function.may(
            "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", on=[self.stream_arn]
        )
        # ListStreams is granted on a table's streams, not on one: the policy template DynamoDBStreamReadPolicy of
        # https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-policy-template-list.html
        function.may("dynamodb:ListStreams", on=[f"{self._table.table_arn}/stream/*"])
        table = Stack.of(self).get_logical_id(cast("CfnElement", self._table.node.default_child))
        acknowledge(
            function.policy,
            f"AwsSolutions-IAM5[Resource::<{table}.Arn>/stream/*]",
            "ListStreams is granted on a table's streams together; they are this table's only.",
        )

    def _index(self, name: str, partition: str, sort: str, *carried: str) -> None:
        self._table.add_global_secondary_index(
            index_name=name,
            partition_key=dynamodb.Attribute(name=partition, type=STRING),
            sort_key=dynamodb.Attribute(name=sort, type=STRING),
            projection_type=dynamodb.ProjectionType.INCLUDE if carried else dynamodb.ProjectionType.KEYS_ONLY,
            non_key_attributes=list(carried) or None,
        )

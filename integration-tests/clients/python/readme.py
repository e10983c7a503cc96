"""The example of the README: open an account, deposit, read it back with the deposit's token, and be refused."""

import argparse
import json
import sys
import uuid

import grpc
from google.rpc import error_details_pb2, status_pb2
from diptych.v1 import consistency_pb2
from ledger.command.v1 import command_service_pb2 as command
from ledger.command.v1 import command_service_pb2_grpc as command_grpc
from ledger.query.v1 import query_service_pb2 as query
from ledger.query.v1 import query_service_pb2_grpc as query_grpc

TIMEOUT_SECONDS = 20


def reason_of(error: grpc.RpcError) -> str:
    """The reason of an error, from the ErrorInfo among its details."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="host:port of the gRPC endpoint")
    parser.add_argument("--token", help="a bearer token")
    arguments = parser.parse_args()

    metadata = [("authorization", f"Bearer {arguments.token}")] if arguments.token else []
    with grpc.insecure_channel(arguments.address) as channel:
        commands = command_grpc.CommandServiceStub(channel)
        queries = query_grpc.QueryServiceStub(channel)

        def call(rpc, request):
            return rpc(request, metadata=metadata, timeout=TIMEOUT_SECONDS)

        account_id = f"python-{uuid.uuid4().hex[:12]}"
        call(commands.OpenAccount, command.OpenAccountRequest(
            request_id=str(uuid.uuid4()), account_id=account_id, owner_id="me", currency_code="EUR"))

        deposit = command.DepositRequest(
            request_id=str(uuid.uuid4()), account_id=account_id, amount_minor=1050, currency_code="EUR")
        receipt = call(commands.Deposit, deposit).receipt
        again = call(commands.Deposit, deposit).receipt

        fresh = consistency_pb2.Consistency(at_least_as_fresh=receipt.written_at)
        account = call(queries.GetAccount, query.GetAccountRequest(account_id=account_id, consistency=fresh)).account

        try:
            call(commands.Withdraw, command.WithdrawRequest(
                request_id=str(uuid.uuid4()), account_id=account_id, amount_minor=5000, currency_code="EUR"))
            refused = ("OK", "")
        except grpc.RpcError as error:
            refused = (error.code().name, reason_of(error))

    found = {
        "language": "python",
        "balance_minor": account.balance_minor,
        "version": account.version,
        "same_receipt": receipt == again,
        "code": refused[0],
        "reason": refused[1],
    }
    print(json.dumps(found))
    wanted = {"balance_minor": 1050, "version": 2, "same_receipt": True,
              "code": "FAILED_PRECONDITION", "reason": "INSUFFICIENT_FUNDS"}
    wrong = {name: found[name] for name, value in wanted.items() if found[name] != value}
    if wrong:
        print(f"unexpected result: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

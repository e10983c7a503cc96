// The example of the README: open an account, deposit, read it back with the deposit's token, and be refused.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	diptych "diptych.example/client/gen/diptych/v1"
	command "diptych.example/client/gen/ledger/command/v1"
	query "diptych.example/client/gen/ledger/query/v1"
)

const timeout = 20 * time.Second

type found struct {
	Language     string `json:"language"`
	BalanceMinor int64  `json:"balance_minor"`
	Version      int64  `json:"version"`
	SameReceipt  bool   `json:"same_receipt"`
	Code         string `json:"code"`
	Reason       string `json:"reason"`
}

func main() {
	token := flag.String("token", "", "a bearer token")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: readme [-token TOKEN] HOST:PORT")
		os.Exit(2)
	}
	got, err := run(flag.Arg(0), *token)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	line, _ := json.Marshal(got)
	fmt.Println(string(line))
	want := found{"go", 1050, 2, true, "FailedPrecondition", "INSUFFICIENT_FUNDS"}
	if got != want {
		fmt.Fprintf(os.Stderr, "unexpected result: %+v\n", got)
		os.Exit(1)
	}
}

func run(address, token string) (found, error) {
	got := found{Language: "go"}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return got, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	commands, queries := command.NewCommandServiceClient(connection), query.NewQueryServiceClient(connection)

	account := "go-" + uuid.NewString()[:13]
	_, err = commands.OpenAccount(ctx, &command.OpenAccountRequest{
		RequestId: uuid.NewString(), AccountId: account, OwnerId: "me", CurrencyCode: "EUR",
	})
	if err != nil {
		return got, fmt.Errorf("OpenAccount: %w", err)
	}
	deposit := &command.DepositRequest{
		RequestId: uuid.NewString(), AccountId: account, AmountMinor: 1050, CurrencyCode: "EUR",
	}
	first, err := commands.Deposit(ctx, deposit)
	if err != nil {
		return got, fmt.Errorf("Deposit: %w", err)
	}
	again, err := commands.Deposit(ctx, deposit)
	if err != nil {
		return got, fmt.Errorf("Deposit again: %w", err)
	}
	got.SameReceipt = proto.Equal(first.Receipt, again.Receipt)

	read, err := queries.GetAccount(ctx, &query.GetAccountRequest{
		AccountId:   account,
		Consistency: &diptych.Consistency{AtLeastAsFresh: first.Receipt.WrittenAt},
	})
	if err != nil {
		return got, fmt.Errorf("GetAccount: %w", err)
	}
	got.BalanceMinor, got.Version = read.Account.BalanceMinor, read.Account.Version

	_, err = commands.Withdraw(ctx, &command.WithdrawRequest{
		RequestId: uuid.NewString(), AccountId: account, AmountMinor: 5000, CurrencyCode: "EUR",
	})
	refusal := status.Convert(err)
	got.Code = refusal.Code().String()
	for _, detail := range refusal.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			got.Reason = info.Reason
		}
	}
	return got, nil
}

use diptych_proto::ledger::{
    command::v1::{
        ExecuteCommandsRequest, FreezeAccountRequest, UnfreezeAccountRequest, execute_commands_request::Command,
    },
    query::v1::{Account, Entry, ListAccountsRequest, ListAccountsResponse, ListEntriesRequest, ListEntriesResponse},
};
use futures::{StreamExt, stream};

use crate::harness::{GrpcHarness, bad_field, deposit, error_parts, fresh_as, new_id, open};

fn entries(id: &str, page_size: i32, page_token: &str) -> ListEntriesRequest {
    ListEntriesRequest { account_id: id.to_owned(), page_size, page_token: page_token.to_owned(), consistency: None }
}

fn accounts(owner: &str, page_size: i32, page_token: &str) -> ListAccountsRequest {
    ListAccountsRequest { owner_id: owner.to_owned(), page_size, page_token: page_token.to_owned(), consistency: None }
}

/// All pages of a statement.
async fn statement(client: &mut GrpcHarness, id: &str, page_size: i32) -> Vec<Entry> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = client.queries.list_entries(entries(id, page_size, &page_token)).await.unwrap().into_inner();
        assert!(page.entries.len() <= usize::try_from(page_size).unwrap());
        assert!(page.read_at.is_some());
        all.extend(page.entries);
        if page.next_page_token.is_empty() {
            return all;
        }
        page_token = page.next_page_token;
    }
}

async fn execute(client: &mut GrpcHarness, commands: Vec<Command>) {
    let requests = commands.into_iter().map(|command| ExecuteCommandsRequest { command: Some(command) });
    let answers = client.commands.execute_commands(stream::iter(requests.collect::<Vec<_>>())).await.unwrap();
    let mut answers = answers.into_inner();
    while let Some(answer) = answers.next().await {
        let result = answer.unwrap().result;
        assert!(matches!(
            result,
            Some(diptych_proto::ledger::command::v1::execute_commands_response::Result::Receipt(_))
        ));
    }
}

fn deposits(id: &str, amounts: std::ops::RangeInclusive<i64>) -> Vec<Command> {
    amounts.map(|amount| Command::Deposit(deposit(id, amount))).collect()
}

fn versions(entries: &[Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.version).collect()
}

#[tokio::test]
async fn a_statement_is_complete_in_pages_of_any_size() {
    let mut client = GrpcHarness::with_accounts(&["a", "a0"]).await;
    execute(&mut client, deposits("a", 1..=2_500)).await;
    execute(&mut client, deposits("a0", 1..=3)).await;
    client.project().await;
    let newest_first: Vec<i64> = (2..=2_501).rev().collect();
    for page_size in [7, 250, 499, 500] {
        let all = statement(&mut client, "a", page_size).await;
        assert_eq!(versions(&all), newest_first, "{page_size}");
        assert!(all.iter().all(|entry| entry.account_id == "a" && entry.amount_minor == entry.version - 1));
        assert!(
            all.windows(2)
                .all(|pair| pair[0].balance_after_minor - pair[0].amount_minor == pair[1].balance_after_minor)
        );
    }
    let page = client.queries.list_entries(entries("a", 0, "")).await.unwrap().into_inner();
    assert_eq!(page.entries.len(), 50);
    let page = client.queries.list_entries(entries("a", 1_000_000, "")).await.unwrap().into_inner();
    assert_eq!(page.entries.len(), 500);
}

#[tokio::test]
async fn no_page_repeats_or_skips_while_entries_arrive() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    execute(&mut client, deposits("a", 1..=1_010)).await;
    client.project().await;
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = client.queries.list_entries(entries("a", 100, &page_token)).await.unwrap().into_inner();
        let ListEntriesResponse { entries, next_page_token, .. } = page;
        seen.extend(versions(&entries));
        if next_page_token.is_empty() {
            break;
        }
        page_token = next_page_token;
        execute(&mut client, deposits("a", 1..=100)).await;
        client.project().await;
    }
    assert_eq!(seen, (2..=1_011).rev().collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_statement_skips_buckets_without_entries() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    execute(&mut client, deposits("a", 1..=2)).await;
    let change = |freeze: bool| {
        let (request_id, account_id) = (new_id(), "a".to_owned());
        if freeze {
            Command::FreezeAccount(FreezeAccountRequest { request_id, account_id, ..FreezeAccountRequest::default() })
        } else {
            Command::UnfreezeAccount(UnfreezeAccountRequest {
                request_id,
                account_id,
                ..UnfreezeAccountRequest::default()
            })
        }
    };
    execute(&mut client, (0..18_000).map(|number| change(number % 2 == 0)).collect()).await;
    execute(&mut client, deposits("a", 3..=3)).await;
    client.project().await;
    assert_eq!(versions(&statement(&mut client, "a", 50).await), [18_004, 3, 2]);
}

#[tokio::test]
async fn an_account_without_entries_has_an_empty_statement() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    client.project().await;
    let page = client.queries.list_entries(entries("a", 10, "")).await.unwrap().into_inner();
    assert_eq!((page.entries.len(), page.next_page_token.as_str()), (0, ""));
    assert!(page.read_at.unwrap().complete_up_to_time.is_some());
}

#[tokio::test]
async fn the_accounts_of_an_owner_are_listed_by_id() {
    let mut client = GrpcHarness::start().await;
    let ids: Vec<String> = (0..123).map(|number| format!("a{number:03}")).collect();
    for id in ids.iter().rev() {
        client.commands.open_account(open(id)).await.unwrap();
    }
    let mut other = open("b");
    other.owner_id = "otto".to_owned();
    client.commands.open_account(other).await.unwrap();
    let receipt = client.deposit("a007", 5).await;
    client.project().await;

    let (mut all, mut page_token) = (Vec::<Account>::new(), String::new());
    loop {
        let request = ListAccountsRequest { consistency: fresh_as(&receipt), ..accounts("olga", 25, &page_token) };
        let page = client.queries.list_accounts(request).await.unwrap().into_inner();
        let ListAccountsResponse { accounts, next_page_token, read_at } = page;
        assert!(accounts.len() <= 25 && read_at.is_some());
        all.extend(accounts);
        if next_page_token.is_empty() {
            break;
        }
        page_token = next_page_token;
    }
    assert_eq!(all.iter().map(|account| account.account_id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!(all[7].balance_minor, 5);

    let unknown = client.queries.list_accounts(accounts("unknown", 0, "")).await.unwrap().into_inner();
    assert_eq!((unknown.accounts.len(), unknown.next_page_token.as_str()), (0, ""));
}

#[tokio::test]
async fn a_page_token_belongs_to_its_list() {
    let mut client = GrpcHarness::with_accounts(&["a", "b", "olga"]).await;
    execute(&mut client, deposits("a", 1..=5)).await;
    client.project().await;
    let of_a = client.queries.list_entries(entries("a", 2, "")).await.unwrap().into_inner().next_page_token;
    let of_olga = client.queries.list_accounts(accounts("olga", 2, "")).await.unwrap().into_inner().next_page_token;
    assert!(!of_a.is_empty() && !of_olga.is_empty());
    let wrong = [
        client.queries.list_entries(entries("b", 2, &of_a)).await.map(drop),
        client.queries.list_entries(entries("olga", 2, &of_olga)).await.map(drop),
        client.queries.list_accounts(accounts("olga", 2, &of_a)).await.map(drop),
        client.queries.list_accounts(accounts("otto", 2, &of_olga)).await.map(drop),
        client.queries.list_entries(entries("a", 2, &of_a[1..])).await.map(drop),
    ];
    for outcome in wrong {
        assert_eq!(error_parts(&outcome.unwrap_err()), bad_field("PAGE_TOKEN_INVALID", "page_token"));
    }
    // Another size is not another list.
    let rest = client.queries.list_entries(entries("a", 100, &of_a)).await.unwrap().into_inner();
    assert_eq!(versions(&rest.entries), [4, 3, 2]);
}

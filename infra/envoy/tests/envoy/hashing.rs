//! Commands about one stream meet at one instance, whoever sends them, and however.

use std::collections::HashSet;

use diptych_proto::diptych::v1::Receipt;
use diptych_proto::ledger::command::v1::{
    CloseAccountRequest, ExecuteCommandsRequest, FreezeAccountRequest, OpenAccountRequest, TransferRequest,
    UnfreezeAccountRequest, WithdrawRequest, command_service_client::CommandServiceClient, execute_commands_response,
};
use futures::StreamExt;
use tonic::Request;

use super::{
    curl::curl,
    process::{Envoy, eventually},
    site::{ALL, Site, channel, deposit},
};

fn who(receipt: Option<Receipt>) -> String {
    receipt.unwrap().streams[0].stream_id.clone()
}

/// Everybody who takes commands about the account through this gateway.
async fn takers(site: &Site, gateway: &Envoy, account_id: &str) -> HashSet<String> {
    let mut client = CommandServiceClient::new(channel(gateway));
    let id = account_id.to_owned();
    let mut names = HashSet::new();
    macro_rules! take {
        ($method:ident, $message:expr) => {
            names.insert(who(client.$method(site.request($message)).await.unwrap().into_inner().receipt));
        };
    }
    take!(open_account, OpenAccountRequest { account_id: id.clone(), ..Default::default() });
    take!(deposit, deposit(account_id));
    take!(withdraw, WithdrawRequest { account_id: id.clone(), ..Default::default() });
    take!(transfer, TransferRequest { from_account_id: id.clone(), to_account_id: "x".into(), ..Default::default() });
    take!(freeze_account, FreezeAccountRequest { account_id: id.clone(), ..Default::default() });
    take!(unfreeze_account, UnfreezeAccountRequest { account_id: id.clone(), ..Default::default() });
    take!(close_account, CloseAccountRequest { account_id: id.clone(), ..Default::default() });

    let mut request: Request<_> = site.request(futures::stream::iter([ExecuteCommandsRequest::default()]));
    request.metadata_mut().insert("x-stream-id", account_id.parse().unwrap());
    let answer = client.execute_commands(request).await.unwrap().into_inner().next().await.unwrap().unwrap();
    let Some(execute_commands_response::Result::Receipt(receipt)) = answer.result else { panic!("{answer:?}") };
    names.insert(who(Some(receipt)));

    let url = gateway.url(&format!("/v1/accounts/{account_id}:deposit"));
    let answer = curl(&["-H", &site.header(&ALL), "-d", "{}", &url]).json();
    names.insert(answer["receipt"]["streams"][0]["streamId"].as_str().unwrap().to_owned());
    names
}

#[tokio::test]
async fn commands_about_a_stream_meet_at_one_instance() {
    let Some(site) = Site::start().await else { return };
    let mut all = HashSet::new();
    for number in 0..16 {
        let account_id = format!("account-{number}");
        let mut names = HashSet::new();
        for gateway in &site.gateways {
            names.extend(takers(&site, gateway, &account_id).await);
        }
        assert_eq!(names.len(), 1, "{account_id}: {names:?}");
        all.extend(names);
    }
    assert_eq!(all.len(), 2, "both have work");
    let line = eventually("a log line", || site.gateways[0].logged("account-3")).await;
    assert_eq!(line["stream"], "[\"account-3\"]");
}

/// The hash is made of whatever the caller sends: no length and no letter in it may do harm.
#[tokio::test]
async fn whatever_the_account_is_called_the_service_decides() {
    let Some(site) = Site::start().await else { return };
    for account_id in ["", "\u{0}\r\n%", "ünïcödé ✓", "\"]", "slow\n", &"a".repeat(1_000_000)] {
        site.deposit(account_id).await.unwrap();
    }
    let seen = site.backends.iter().flat_map(|backend| backend.stub.calls("ünïcödé ✓"));
    assert!(seen.clone().count() == 1 && seen.into_iter().all(|metadata| metadata.get("x-stream-id").is_none()));
}

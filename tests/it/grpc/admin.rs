//! `AdminService` and `IdentityService`: tokens, namespaces, and who is calling.

use std::time::Duration;

use tonic::Code;
use tstr_proto::v1 as pb;
use tstr_shared::error::ErrorCode;
use tstr_shared::permission::Scope;
use tstr_tests::{Stack, eventually};

use super::{Peer, refused};

fn token(scopes: &[pb::Scope], namespaces: &[&str]) -> pb::IssueTokenRequest {
    pb::IssueTokenRequest {
        name: "t".into(),
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        namespaces: namespaces.iter().map(|ns| (*ns).to_owned()).collect(),
        expires_in_secs: 3600,
        idempotency_key: String::new(),
    }
}

#[tokio::test]
async fn a_token_is_issued_used_read_and_revoked() {
    let stack = Stack::start_with(2, |_| {}).await;
    let peer = Peer::admin(&stack).await;
    let mut admin = peer.admins();
    let keyed =
        pb::IssueTokenRequest { idempotency_key: "once".into(), ..token(&[pb::Scope::Data], &["default", "x"]) };
    let issued = admin.issue_token(keyed.clone()).await.unwrap().into_inner();
    assert_eq!(admin.issue_token(keyed).await.unwrap().into_inner(), issued);
    let record = issued.record.unwrap();
    let holder = peer.with_token(Some(&issued.token));
    let identity = holder.identity().get_identity(pb::GetIdentityRequest {}).await.unwrap().into_inner();
    assert_eq!(identity.token.map(|token| (token.id, token.scopes)), Some((record.id.clone(), record.scopes.clone())));
    assert_eq!(identity.namespaces, ["default"]);

    let get = pb::GetTokenRequest { id: record.id.clone() };
    let read = admin.get_token(get).await.unwrap().into_inner().token.unwrap();
    assert_eq!((&read.name, &read.expires_at, &read.revoked_at), (&record.name, &record.expires_at, &None));
    let revoked = admin.revoke_token(pb::RevokeTokenRequest { id: record.id.clone() }).await.unwrap().into_inner();
    assert!(revoked.token.unwrap().revoked_at.is_some());
    refused(
        holder.identity().get_identity(pb::GetIdentityRequest {}).await,
        Code::Unauthenticated,
        ErrorCode::Unauthenticated,
    );
    let there = Peer::connect(&stack, 1, Some(&issued.token)).await;
    eventually("the other replica refuses it", Duration::from_secs(5), async || {
        there.identity().get_identity(pb::GetIdentityRequest {}).await.err()
    })
    .await;
    let mut listed = async |include_revoked| {
        let list = pb::ListTokensRequest { include_revoked, ..Default::default() };
        admin.list_tokens(list).await.unwrap().into_inner().tokens.into_iter().map(|token| token.id).collect::<Vec<_>>()
    };
    assert!(!listed(false).await.contains(&record.id) && listed(true).await.contains(&record.id));
}

#[tokio::test]
async fn a_token_that_cannot_be_issued_says_why() {
    let stack = Stack::start().await;
    let mut admin = Peer::admin(&stack).await.admins();
    for (wish, pointer) in [
        (token(&[], &["default"]), "/scopes"),
        (token(&[pb::Scope::Unspecified], &["default"]), "/scopes/0"),
        (token(&[pb::Scope::Data], &[]), "/namespaces"),
        (token(&[pb::Scope::Data], &["("]), "/namespaces/0"),
        (token(&[pb::Scope::Data], &["a\0"]), "/namespaces/0"),
        (pb::IssueTokenRequest { expires_in_secs: 366 * 86_400, ..token(&[pb::Scope::Data], &["a"]) }, "/expires_in"),
    ] {
        let problem = refused(admin.issue_token(wish).await, Code::InvalidArgument, ErrorCode::Invalid);
        assert_eq!(problem.errors[0].pointer, pointer);
    }
    let mut local = Peer::of(&stack, &[Scope::Admin], &["default"]).await.admins();
    refused(local.issue_token(token(&[pb::Scope::Data], &[".*"])).await, Code::PermissionDenied, ErrorCode::Forbidden);
    for id in ["x", "01890000-0000-7000-8000-00000000dead"] {
        refused(admin.get_token(pb::GetTokenRequest { id: id.into() }).await, Code::NotFound, ErrorCode::NotFound);
        refused(
            admin.revoke_token(pb::RevokeTokenRequest { id: id.into() }).await,
            Code::NotFound,
            ErrorCode::NotFound,
        );
    }
}

#[tokio::test]
async fn a_namespace_is_created_and_its_quotas_are_set() {
    let stack = Stack::start().await;
    let mut admin = Peer::admin(&stack).await.admins();
    let create = |name: &str, quotas| pb::CreateNamespaceRequest { name: name.into(), quotas, ..Default::default() };
    let made = admin.create_namespace(create("team-a", None)).await.unwrap().into_inner().namespace.unwrap();
    assert_eq!(made.quotas, Some(pb::Quotas { max_queued: Some(10_000), max_running: Some(50), max_bytes: None }));
    refused(admin.create_namespace(create("team-a", None)).await, Code::FailedPrecondition, ErrorCode::Conflict);
    let quotas = pb::Quotas { max_queued: None, max_running: Some(3), max_bytes: None };
    let update = pb::UpdateNamespaceRequest { name: "team-a".into(), quotas: Some(quotas), retention: None };
    let changed = admin.update_namespace(update.clone()).await.unwrap().into_inner().namespace.unwrap();
    assert_eq!((changed.name.as_str(), changed.quotas), ("team-a", Some(quotas)));
    for (problem, pointer) in [
        (
            refused(admin.create_namespace(create("Team", None)).await, Code::InvalidArgument, ErrorCode::Invalid),
            "/name",
        ),
        (
            refused(
                admin.create_namespace(create("b", Some(pb::Quotas { max_running: Some(-1), ..quotas }))).await,
                Code::InvalidArgument,
                ErrorCode::Invalid,
            ),
            "/quotas/max_running",
        ),
        (
            refused(
                admin.update_namespace(pb::UpdateNamespaceRequest { quotas: None, ..update.clone() }).await,
                Code::InvalidArgument,
                ErrorCode::Invalid,
            ),
            "/quotas",
        ),
        (
            refused(
                admin
                    .update_namespace(pb::UpdateNamespaceRequest {
                        quotas: Some(pb::Quotas { max_queued: Some(-1), ..quotas }),
                        ..update.clone()
                    })
                    .await,
                Code::InvalidArgument,
                ErrorCode::Invalid,
            ),
            "/quotas/max_queued",
        ),
    ] {
        assert_eq!(problem.errors[0].pointer, pointer);
    }
    let nowhere = pb::UpdateNamespaceRequest { name: "nowhere".into(), ..update.clone() };
    refused(admin.update_namespace(nowhere).await, Code::NotFound, ErrorCode::NotFound);
    let mut foreigner = Peer::of(&stack, &[Scope::Admin], &["default"]).await.admins();
    refused(foreigner.update_namespace(update).await, Code::NotFound, ErrorCode::NotFound);
}

#[tokio::test]
async fn nobody_but_an_administrator_administers() {
    let stack = Stack::start().await;
    let mut peers = vec![(Peer::connect(&stack, 0, None).await, Code::Unauthenticated, ErrorCode::Unauthenticated)];
    for scope in [Scope::Control, Scope::Data, Scope::Runner] {
        peers.push((Peer::of(&stack, &[scope], &[".*"]).await, Code::PermissionDenied, ErrorCode::Forbidden));
    }
    for (peer, code, word) in peers {
        let mut admin = peer.admins();
        let id = "01890000-0000-7000-8000-00000000dead".to_owned();
        refused(admin.issue_token(token(&[pb::Scope::Data], &["default"])).await, code, word);
        refused(admin.list_tokens(pb::ListTokensRequest::default()).await, code, word);
        refused(admin.get_token(pb::GetTokenRequest { id: id.clone() }).await, code, word);
        refused(admin.revoke_token(pb::RevokeTokenRequest { id }).await, code, word);
        refused(
            admin.create_namespace(pb::CreateNamespaceRequest { name: "n".into(), ..Default::default() }).await,
            code,
            word,
        );
        let update =
            pb::UpdateNamespaceRequest { name: "default".into(), quotas: Some(pb::Quotas::default()), retention: None };
        refused(admin.update_namespace(update).await, code, word);
    }
}

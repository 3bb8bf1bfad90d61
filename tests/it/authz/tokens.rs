//! Forged tokens (RFC 8725): whatever is changed in one, both doors refuse it in the same words.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tstr_proto::v1 as pb;
use tstr_tests::Stack;
use uuid::Uuid;

use super::world::signing_pair;
use crate::grpc::Peer;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn a_forged_token_is_refused_at_both_doors_whatever_is_forged() {
    let stack = Stack::start().await;
    let pair = signing_pair(&stack).await;
    let key = Ed25519KeyPair::from_pkcs8(&pair.private).unwrap();
    let sign = |header: &str, claims: &str| {
        let text = format!("{}.{}", encode(header), encode(claims));
        format!("{text}.{}", encode(key.sign(text.as_bytes())))
    };
    let now = chrono::Utc::now().timestamp();
    // The record is that of a real token, so that only the token decides.
    let id = stack.admin().get("/api/v1/identity").await.expect(200)["token"]["id"].as_str().unwrap().to_owned();
    let header = json!({"typ": "tstr+jwt", "alg": "EdDSA", "kid": pair.kid});
    let claims = json!({
        "iss": "tstr", "aud": "tstr", "sub": id, "jti": id, "scopes": ["admin"], "ns": [".*"],
        "iat": now - 60, "nbf": now - 60, "exp": now + 600,
    });
    let with = |base: &Value, name: &str, value: Value| {
        let mut changed = base.clone();
        changed[name] = value;
        changed.to_string()
    };
    let without = |base: &Value, name: &str| {
        let mut changed = base.clone();
        changed.as_object_mut().unwrap().shift_remove(name);
        changed.to_string()
    };
    let (h, c) = (header.to_string(), claims.to_string());
    let good = sign(&h, &c);
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = |header: &str| format!("{}.{}.", encode(header), encode(&c));
    let mut forged: Vec<(String, String)> = vec![
        ("no signature".into(), format!("tstr_pat_{}.{}.", parts[0], parts[1])),
        ("no third part".into(), format!("tstr_pat_{}.{}", parts[0], parts[1])),
        ("a fourth part".into(), format!("tstr_pat_{good}.x")),
        ("alg none".into(), format!("tstr_pat_{}", unsigned(&with(&header, "alg", json!("none"))))),
        ("alg None".into(), format!("tstr_pat_{}", unsigned(&with(&header, "alg", json!("None"))))),
        ("padded".into(), format!("tstr_pat_{good}==")),
        ("another kind".into(), format!("tstr_run_{good}")),
        ("no kind".into(), good.clone()),
        ("upper case prefix".into(), format!("TSTR_PAT_{good}")),
        (
            "claims of another".into(),
            format!("tstr_pat_{}.{}.{}", parts[0], encode(with(&claims, "ns", json!(["x"]))), parts[2]),
        ),
    ];
    for alg in ["HS256", "HS512", "RS256", "ES256", "EdDSA ", "eddsa"] {
        forged.push((format!("alg {alg}"), format!("tstr_pat_{}", sign(&with(&header, "alg", json!(alg)), &c))));
    }
    let key_of_ours = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&pair.public)});
    for (name, value) in [
        ("typ", json!("JWT")),
        ("kid", json!("other")),
        ("kid", json!("../key")),
        ("jwk", key_of_ours),
        ("jku", json!("https://evil.example/k")),
        ("x5u", json!("https://evil.example/c")),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("cty", json!("JWT")),
    ] {
        forged.push((format!("header {name}"), format!("tstr_pat_{}", sign(&with(&header, name, value), &c))));
    }
    for name in ["typ", "kid", "alg"] {
        forged.push((format!("header without {name}"), format!("tstr_pat_{}", sign(&without(&header, name), &c))));
    }
    for (name, value) in [
        ("iss", json!("evil")),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("sub", json!("admin")),
        ("sub", json!(Uuid::new_v4())),
        ("jti", json!(Uuid::new_v4())),
        ("jti", json!("x")),
        ("exp", json!(now - 60)),
        ("nbf", json!(now + 600)),
        ("iat", json!(now + 600)),
        ("exp", json!("never")),
        ("exp", json!(i64::MAX)),
        ("exp", json!(i64::MIN)),
        ("scopes", json!(["root"])),
        ("scopes", json!("admin")),
        ("ns", json!(["("])),
        ("root", json!(true)),
    ] {
        forged.push((format!("claim {name}"), format!("tstr_pat_{}", sign(&h, &with(&claims, name, value)))));
    }
    for name in claims.as_object().unwrap().keys() {
        forged.push((format!("no claim {name}"), format!("tstr_pat_{}", sign(&h, &without(&claims, name)))));
    }
    let doubled = c.replacen('{', r#"{"scopes":["data"],"#, 1);
    forged.push(("a claim twice".into(), format!("tstr_pat_{}", sign(&h, &doubled))));
    forged.push(("too long".into(), format!("tstr_pat_{}", sign(&h, &with(&claims, "ns", json!(["x".repeat(4000)]))))));
    assert!(forged.len() >= 25);

    let anybody = stack.anonymous();
    let person = |token: &str| anybody.with_token(Some(token.to_owned()));
    let door = Peer::connect(&stack, 0, None).await;
    let by_grpc =
        async |token: &str| door.with_token(Some(token)).identity().get_identity(pb::GetIdentityRequest {}).await;
    let true_one = format!("tstr_pat_{good}");
    assert_eq!(person(&true_one).get("/api/v1/identity").await.status, 200, "the pattern for the forgeries is good");
    assert!(by_grpc(&true_one).await.is_ok());
    let mut words = BTreeSet::new();
    for (what, token) in &forged {
        let answer = person(token).get("/api/v1/identity").await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        words.insert(answer.refused(401, "unauthenticated")["detail"].as_str().unwrap().to_owned());
        words.insert(by_grpc(token).await.expect_err(what).message().to_owned());
    }
    assert_eq!(words.len(), 1, "a forger learns nothing: {words:?}");
}

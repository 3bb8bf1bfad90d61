//! Images from a registry, on real rootless Podman: when they are pulled, and what is said when they cannot be.

use std::path::Path;

use serde_json::{Value, json};
use tstr_tests::registry::Registry;
use tstr_tests::runner::Site;
use tstr_tests::{Person, Stack, factory};

use crate::podman::{again, finished, log, trigger};

/// A test of an image that is to be had by a registry, or not.
fn test(name: &str, image: &str, pull: &str) -> Value {
    let test = factory::with(factory::script(name, "echo pulled"), "/run_config/container_image", json!(image));
    factory::with(test, "/run_config/pull", json!(pull))
}

async fn passes(admin: &Person, id: &str, digest: &str) {
    let seen = finished(admin, id).await;
    assert_eq!((seen["result"].as_str(), seen["image_digest"].as_str()), (Some("pass"), Some(digest)), "{seen}");
    assert_eq!(log(admin, id, "").await, b"pulled\n");
}

/// Fails unless the image was not found; returns what is said about it.
async fn not_found(admin: &Person, id: &str, image: &str) -> String {
    let seen = finished(admin, id).await;
    assert_eq!((seen["result"].as_str(), seen["reason"].as_str()), (Some("error"), Some("image_not_found")), "{seen}");
    assert_eq!((seen["attempt"].as_i64(), &seen["image_digest"]), (Some(1), &Value::Null), "{seen}");
    let message = seen["message"].as_str().unwrap();
    assert!(message.contains(image), "{message}");
    message.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_as_the_test_says_and_a_fault_is_told() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let registry = Registry::start().await;
    let ill = Registry::failing(500, "the registry has a headache").await;
    let gone = Registry::closing().await;
    let site = Site::prepare(&stack, "w1").await;
    site.trust_registries(&[registry.addr, ill.addr, gone.addr]);
    let worker = site.start(&stack.grpc_url(0), &["--slots", "4"]).await;
    worker.registered(&stack).await;

    // Podman tries some of these several times before it gives up; meanwhile the others go on.
    let (unknown_image, ill_image, gone_image) = (registry.image("unknown"), ill.image("1"), gone.image("1"));
    let unknown = trigger(&admin, test("unknown", &unknown_image, "missing")).await;
    let refused = trigger(&admin, test("ill", &ill_image, "missing")).await;
    let closed = trigger(&admin, test("gone", &gone_image, "missing")).await;

    let missing = trigger(&admin, test("missing", &registry.image("1"), "missing")).await;
    passes(&admin, &missing, &registry.digest).await;
    let asked = registry.asked_for("manifests/1");
    assert!(asked >= 1 && registry.asked_for("/blobs/") >= 1);
    let missing = again(&admin, "missing").await;
    passes(&admin, &missing, &registry.digest).await;
    assert_eq!(registry.asked_for("manifests/1"), asked, "what is there is not asked for again");

    let never = trigger(&admin, test("never", &registry.image("2"), "never")).await;
    not_found(&admin, &never, &registry.image("2")).await;
    assert_eq!(registry.asked_for("manifests/2"), 0);

    let always = trigger(&admin, test("always", &registry.image("3"), "always")).await;
    passes(&admin, &always, &registry.digest).await;
    let asked = registry.asked_for("manifests/3");
    assert!(asked >= 1);
    let always = again(&admin, "always").await;
    passes(&admin, &always, &registry.digest).await;
    assert!(registry.asked_for("manifests/3") > asked, "asked for each time");

    let said = not_found(&admin, &unknown, &unknown_image).await;
    assert!(said.contains("could not be pulled") && said.contains("manifest unknown"), "{said}");
    let said = not_found(&admin, &refused, &ill_image).await;
    assert!(said.contains("could not be pulled") && said.contains("500"), "{said}");
    assert!(ill.asked_for("/v2/") >= 1);
    let said = not_found(&admin, &closed, &gone_image).await;
    // Which of these Podman sees depends on how far it had got.
    let closed = ["EOF", "reset", "closed"].iter().any(|word| said.contains(word));
    assert!(said.contains("could not be pulled") && closed, "{said}");
    assert!(gone.asked_for("a connection") >= 1);
    worker.cleaned_up().await;

    // A person's settings outlive a start.
    let kept = std::fs::read_to_string(Path::new(site.dir()).join("podman/config/registries.conf")).unwrap();
    assert!(kept.contains(&registry.addr.to_string()), "{kept}");
}

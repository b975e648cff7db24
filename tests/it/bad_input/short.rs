//! The ways to an empty or short render that lie in Git and in what an Environment says. Each ends with an error or a hold,
//! and deletes nothing. Those of the cluster and of the agent are in `cluster`.

use std::time::Duration;

use futures::FutureExt;
use git2::FileMode;
use kube::Api;
use serde_json::json;

use super::{
    case::{Case, Told, run},
    front::Mode,
    place::{NAME, Place},
};
use crate::need_node;

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

const LOGIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 51\r\nConnection: close\r\n\r\n<html><body><form>Please log in</form></body></html>";

#[tokio::test(flavor = "multi_thread")]
async fn no_way_to_an_empty_or_short_render_deletes_anything() {
    let Some(node) = need_node!() else { return };
    let mut cases = in_git();
    cases.extend(on_the_way());
    cases.extend(in_the_environment());
    run(node, cases).await;
}

/// Ways 1 to 10, 14, 15 and 17.
fn in_git() -> Vec<Case> {
    vec![
        Case::git(
            "1 the repository is empty",
            Told::Error(&["no branch"]),
            |place| place.repo().delete_branch("main"),
        ),
        Case::git(
            "2 the branch is deleted",
            Told::Error(&["no branch main"]),
            |place| {
                let repo = place.repo();
                repo.set("other", &place.good);
                repo.delete_branch("main");
            },
        ),
        Case::git(
            "3 the path is removed",
            Told::Error(&["{commit}", "app"]),
            |place| {
                place.without_directory("app");
            },
        ),
        Case::git(
            "4 the path is a file now",
            Told::Error(&["{commit}", "app"]),
            |place| {
                place.without_directory("app");
                let repo = place.repo();
                let (tip, blob) = (
                    repo.tip("main").expect("main is there"),
                    repo.blob("a file\n"),
                );
                let git = repo.repository();
                let tree = git
                    .find_commit(tip)
                    .and_then(|commit| commit.tree())
                    .expect("the tree is there");
                let mut root = git.treebuilder(Some(&tree)).expect("a tree can be made");
                root.insert("app", blob, FileMode::Blob.into())
                    .expect("a file can be put there");
                let tree = root.write().expect("a tree can be written");
                // One commit, so that one revert undoes it.
                repo.set("main", &place.good);
                place.commit_tree(tree);
            },
        ),
        Case::git("5 only a README is left", Told::ErrorOrHeld, |place| {
            place.repo().change("main", |tree| {
                tree.remove("app/kustomization.yaml")
                    .remove("app/patch.yaml");
                tree.upsert(
                    "app/README.md",
                    place.repo().blob("Nothing here.\n"),
                    FileMode::Blob,
                );
            });
        }),
        Case::git("6 `resources: []`", Told::ErrorOrHeld, |place| {
            place
                .repo()
                .commit(&[("app/kustomization.yaml", "resources: []\n")]);
        }),
        Case::git(
            "6 all resources of the base are gone",
            Told::ErrorOrHeld,
            |place| {
                place.repo().commit(&[
                    (
                        "app/kustomization.yaml",
                        "resources: [../base]\nnamePrefix: shop-\n",
                    ),
                    ("base/kustomization.yaml", "resources: []\n"),
                ]);
            },
        ),
        Case::git(
            "7 kustomization.yaml is deleted",
            Told::ErrorOrHeld,
            |place| {
                place.repo().remove(&["app/kustomization.yaml"]);
            },
        ),
        Case::git(
            "8 kustomization.yaml is in capitals",
            Told::ErrorOrHeld,
            |place| {
                let text = "resources: [../base]\nnamePrefix: shop-\n";
                place.repo().change("main", |tree| {
                    tree.remove("app/kustomization.yaml");
                    tree.upsert(
                        "app/KUSTOMIZATION.yaml",
                        place.repo().blob(text),
                        FileMode::Blob,
                    );
                });
            },
        ),
        Case::git(
            "9 every document is a comment",
            Told::ErrorOrHeld,
            |place| {
                let empty = "# nothing\n---\n# here\n---\n";
                place.repo().commit(&[
                    (
                        "app/kustomization.yaml",
                        "resources: [../base]\nnamePrefix: shop-\n",
                    ),
                    ("base/maps.yaml", empty),
                    ("base/rest.yaml", empty),
                ]);
            },
        ),
        Case::git("10 a List with `items: null`", Told::ErrorOrHeld, |place| {
            let list = "apiVersion: v1\nkind: List\nitems: null\n";
            place.repo().commit(&[
                (
                    "app/kustomization.yaml",
                    "resources: [../base]\nnamePrefix: shop-\n",
                ),
                ("base/maps.yaml", list),
                ("base/rest.yaml", list),
            ]);
        }),
        Case::git(
            "14 LFS pointers",
            Told::Error(&["base/maps.yaml", "LFS", "{commit}"]),
            |place| {
                place.repo().commit(&[("base/maps.yaml", POINTER)]);
            },
        ),
        Case::git(
            "15 the server's clone lacks an object",
            Told::Error(&["{url}"]),
            |place| {
                let repo = place.repo();
                let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: lost}\n";
                let blob = repo.blob(text).to_string();
                repo.commit(&[("base/maps.yaml", text)]);
                let object = place
                    .repo()
                    .path()
                    .join("objects")
                    .join(&blob[..2])
                    .join(&blob[2..]);
                std::fs::remove_file(object).expect("the blob is a loose object");
            },
        )
        .undone(|place| {
            place.repo().set("main", &place.good);
            async { Ok(()) }.boxed()
        }),
        Case::any("17 a stale render", Told::Ready, |place| {
            async move {
                // Each commit is another way to reach files: none may be answered with the render of the one before.
                for (number, (path, text)) in growing().into_iter().enumerate() {
                    place.repo().commit(&[(path, text)]);
                    if number % 2 == 0 {
                        place.look().await?;
                    }
                }
                place.look().await?;
                place.ready(NAME, &place.tip()).await?;
                let objects = place.objects().await?;
                for map in ["shop-first", "shop-second", "shop-third", "shop-fourth"] {
                    if !objects.contains_key(&format!("ConfigMap {map}")) {
                        return Err(format!("{map} is not applied"));
                    }
                }
                Ok(())
            }
            .boxed()
        })
        .undone(|_| async { Ok(()) }.boxed()),
    ]
}

/// Files that come one by one, each commit renderable: a directory, a second file, a deeper directory, a changed file.
fn growing() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "more/maps.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n",
        ),
        ("more/kustomization.yaml", "resources: [maps.yaml]\n"),
        (
            "app/kustomization.yaml",
            "resources: [../base, ../more]\nnamePrefix: shop-\npatches: [{path: patch.yaml}]\n",
        ),
        (
            "more/second.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: second}\n",
        ),
        (
            "more/kustomization.yaml",
            "resources: [maps.yaml, second.yaml]\n",
        ),
        (
            "more/deep/plain.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: third}\n",
        ),
        ("more/deep/kustomization.yaml", "resources: [plain.yaml]\n"),
        (
            "more/kustomization.yaml",
            "resources: [maps.yaml, second.yaml, deep]\n",
        ),
        (
            "more/deep/plain.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: third}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: fourth}\n",
        ),
    ]
}

/// Ways 16 and 18, and their kin.
fn on_the_way() -> Vec<Case> {
    let answer = |name, status: &'static str| {
        Case::network(name, Told::Error(&["{url}"]), move |place| {
            grow(place);
            front(place, Mode::Answer(status));
        })
    };
    vec![
        Case::network(
            "16 the fetch breaks in the middle",
            Told::Error(&["{url}"]),
            |place| {
                // A pack that is larger than what comes through.
                place.write("noise", &noise(500_000));
                front(place, Mode::Cut(100_000));
            },
        ),
        Case::network(
            "16 the connection is closed",
            Told::Error(&["{url}"]),
            |place| {
                grow(place);
                front(place, Mode::Close);
            },
        ),
        answer("18 a login page instead of Git", LOGIN),
        answer(
            "18 the credentials are refused",
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        answer(
            "18 the repository is not to be seen",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        answer(
            "18 the server is down for maintenance",
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        answer(
            "18 the server redirects",
            "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        answer(
            "18 no refs, and Git's own type",
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
    ]
}

/// Bytes that nothing makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn front(place: &Place, mode: Mode) {
    place
        .front
        .as_ref()
        .expect("the case asks for one")
        .set(mode);
}

/// A commit that adds something.
fn grow(place: &Place) {
    place.write("base/note.txt", b"more\n");
}

/// Ways 21, 22 and 23.
fn in_the_environment() -> Vec<Case> {
    vec![
        Case::any("21 the path is another", Told::Held("objects would go"), |place| {
            place.respec(json!({"path": "other"})).boxed()
        })
        .undone(|place| place.respec(json!({"path": "app"})).boxed()),
        Case::git("22 the namePrefix is another", Told::Held("objects would go"), |place| {
            place.repo().commit(&[("app/kustomization.yaml", "resources: [../base]\nnamePrefix: store-\n")]);
        }),
        Case::any("22 the namespace is another", Told::Held("objects would go"), |place| {
            let other = format!("{}-other", place.namespace);
            place.respec(json!({"namespace": other, "createNamespace": true})).boxed()
        })
        .undone(|place| {
            async move {
                let other = format!("{}-other", place.namespace);
                place.respec(json!({"namespace": place.namespace, "createNamespace": false})).await?;
                let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(place.client.clone());
                let _ = namespaces.delete(&other, &kube::api::DeleteParams::background()).await;
                Ok(())
            }
            .boxed()
        }),
        Case::any("22 the service account is not there", Told::Error(&["nobody", "{commit}"]), |place| {
            place.repo().commit(&[("app/patch.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map-0}\ndata: {patched: 'no'}\n")]);
            place.respec(json!({"serviceAccount": "nobody"})).boxed()
        })
        .without_hands()
        .undone(|place| place.respec(json!({"serviceAccount": "deployer"})).boxed()),
        Case::any("23 the Repository is deleted", Told::Error(&["shop"]), |place| {
            async move {
                let api = place.api::<driftless::api::Repository>();
                let deleted = api.delete(NAME, &kube::api::DeleteParams::background()).await;
                deleted.map(|_| ()).map_err(|error| error.to_string())
            }
            .boxed()
        })
        .undone(|place| place.refer().boxed()),
        Case::any("23 the Environment is deleted, and made again", Told::Ready, |place| {
            async move {
                let api = place.api::<driftless::api::Environment>();
                let deleted = api.delete(NAME, &kube::api::DeleteParams::background()).await;
                deleted.map_err(|error| error.to_string())?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                place.environment(NAME, json!({})).await
            }
            .boxed()
        })
        .undone(|_| async { Ok(()) }.boxed()),
        Case::any("21 the Environment has another name", Told::Ready, |place| {
            async move {
                place.environment("store", json!({})).await?;
                // The objects still are the first one's: they are not stolen.
                super::world::patiently("the second is refused what the first owns", || async {
                    let status = place.status("store").await?;
                    let text = super::place::telling(&status);
                    if text.contains("shop") && text.contains("Ready False") { Ok(()) } else { Err(text) }
                })
                .await?;
                let api = place.api::<driftless::api::Environment>();
                let deleted = api.delete(NAME, &kube::api::DeleteParams::background()).await;
                deleted.map_err(|error| error.to_string())?;
                place.pass("store").await?;
                place.ready("store", &place.tip()).await?;
                let deleted = api.delete("store", &kube::api::DeleteParams::background()).await;
                deleted.map_err(|error| error.to_string())?;
                place.environment(NAME, json!({})).await
            }
            .boxed()
        })
        .undone(|_| async { Ok(()) }.boxed()),
    ]
}

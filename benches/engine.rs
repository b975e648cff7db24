//! The engine's parts, each by itself: `cargo bench --bench engine`.

#[path = "support/trees.rs"]
mod trees;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use driftless::kustomize::{BuildOptions, LoadRestrictor, ParsedFiles, build, build_with};
use driftless::yaml::{Limits, read};

fn options() -> BuildOptions {
    BuildOptions {
        load_restrictor: LoadRestrictor::None,
        ..BuildOptions::default()
    }
}

fn yaml(criterion: &mut Criterion) {
    let text = trees::base(1);
    let mut group = criterion.benchmark_group("yaml");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("read", |bencher| {
        bencher.iter(|| read(black_box(text.as_bytes()), "", &Limits::default()));
    });
    group.finish();
}

fn builds(criterion: &mut Criterion) {
    let options = options();
    let shared = trees::shared(1);
    let overlay = trees::overlay(0);
    let mut group = criterion.benchmark_group("build");
    group.bench_function("overlay of 20 objects", |bencher| {
        bencher.iter(|| build(black_box(&shared), &overlay, &options));
    });
    let parsed = ParsedFiles::new(1 << 20);
    group.bench_function("overlay of 20 objects, base parsed", |bencher| {
        bencher.iter(|| build_with(black_box(&shared), &overlay, &options, Some(&parsed)));
    });
    let built = build(&shared, &overlay, &options).expect("the trees are valid");
    group.bench_function("write 20 objects", |bencher| {
        bencher.iter(|| black_box(&built).to_yaml());
    });
    let wide = trees::wide(300);
    group.bench_function("300 objects, 60 patches, 30 generators", |bencher| {
        bencher.iter(|| build(black_box(&wide), "top", &options));
    });
    let deep = trees::deep(20);
    group.bench_function("20 layers", |bencher| {
        bencher.iter(|| build(black_box(&deep), "layer-20", &options));
    });
    group.finish();
}

criterion_group!(benches, yaml, builds);
criterion_main!(benches);

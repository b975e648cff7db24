#!/usr/bin/env python3
"""Plants faults in the kustomize engine, one at a time, and shows that random trees find each of them.

    faults.py [NAME...]       all of them, or those with these names; TREES says how many trees each may take (2,000)

The faults go into a copy of the checkout (target/faults), each behind a question to one environment variable, so that one
compilation serves all of them. A fault whose place is no longer in its file is an error: give it a new one.
"""
import json, os, pathlib, re, shutil, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "target" / "faults"

# Name, file, what stands there (once), what stands there instead. What ends in `;` or `}` is a statement.
FAULTS = [
    ("$patch: replace merges", "src/kustomize/merge.rs",
     "Directive::Replace => origin.map(Merged::from)", "Directive::Replace => dest.map(Merged::from)"),
    ("elements without one of two keys are others", "src/kustomize/merge/lists.rs",
     "if a.is_empty() { b.clone() } else { a.clone() }", "a.clone()"),
    ("$patch: delete keeps list elements", "src/kustomize/merge/lists.rs",
     "items.extend(element);", "items.push(element.unwrap_or(there));"),
    ("a JSON patch inserts instead of replacing", "src/kustomize/jsonpatch.rs",
     "list[index] = value();", "list.insert(index, value());"),
    ("a JSON patch takes ~1 literally", "src/kustomize/jsonpatch.rs",
     'part.replace("~1", "/").replace("~0", "~")', 'part.replace("~0", "~")'),
    ("numbers become texts in JSON patches", "src/kustomize/json.rs",
     "_ => resolve_1_1(&node.text)", "_ => match resolve_1_1(&node.text) { Scalar::Float(_) => Scalar::Str, other => other }"),
    ("a hash forgets binaryData", "src/kustomize/hash.rs",
     '"ConfigMap" => "binaryData"', '"ConfigMap" => "stringData"'),
    ("a hash keeps the digit 1", "src/kustomize/hash.rs", "'1' => 'h'", "'1' => '1'"),
    ("a replacement with a negative index replaces", "src/kustomize/replace.rs",
     'return format!("{part}{delimiter}{old}");', "return part.to_owned();"),
    ("reject by current name only", "src/kustomize/replace.rs",
     "ids.iter().any(|id| matcher.id(id))", "ids.first().is_some_and(|id| matcher.id(id))"),
    ("labels leave volume claim templates out", "src/kustomize/target/transformers.rs",
     "if label.include_volume_claim_templates {", "if false {"),
    ("images of init containers stay", "src/kustomize/images.rs",
     'matches!(tree.text(key), "containers" | "initContainers")', 'tree.text(key) == "containers"'),
    ("a new tag keeps the digest", "src/kustomize/images.rs",
     "tag = &image.new_tag;\n        digest = &image.digest;", "tag = &image.new_tag;"),
    ("literals keep their quotes", "src/kustomize/generate.rs", "if first == last =>", "if first == last && false =>"),
    ("generatorOptions.immutable is for nobody", "src/kustomize/types.rs",
     "merged.immutable |= global.immutable;", "merged.immutable |= false;"),
    ("objects of a kind are not in order", "src/kustomize/sort.rs", "return self.name < other.name;", "return false;"),
    ("service accounts of all names change namespace", "src/kustomize/namespace.rs",
     '("name", "default")', '("kind", "ServiceAccount")'),
    ("definitions of kinds get the prefix", "src/kustomize/transform.rs",
     "keeps_name(&id.gvk)", "false"),
    ("line breaks at the end of a text are lost", "src/yaml/writer/scalar.rs",
     "(true, Some(before)) if is_break(before) => self.push('+')", "(true, Some(before)) if is_break(before) => {}"),
    ("numbers of vars become texts", "src/kustomize/vars.rs",
     "Tag::Int => Value::Int(text.parse().map_err(|_| missing())?)", "Tag::Int => Value::Text(text.to_string())"),
    ("notin wants the label", "src/kustomize/selector.rs",
     "value.is_none_or(|value| values.iter().all(|one| one != value))",
     "value.is_some_and(|value| values.iter().all(|one| one != value))"),
]

PLANTED = '''
/// Whether the run asks for this fault.
pub fn planted(name: &str) -> bool {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("PLANTED").ok()).as_deref() == Some(name)
}
'''


def choice(name, old, new):
    """Rust that is `old`, or `new` where the fault is asked for."""
    asked = f"crate::planted({json.dumps(name)})"
    guard = re.fullmatch(r"if (.*) (=>|\{)", old, re.S)
    if guard:
        other = re.fullmatch(r"if (.*) (=>|\{)", new, re.S)
        return f"if (if {asked} {{ {other[1]} }} else {{ {guard[1]} }}) {guard[2]}"
    arm = re.fullmatch(r"(.*?) => (.*)", old, re.S)
    if arm:
        return f"{arm[1]} => if {asked} {{ {new.removeprefix(arm[1] + ' => ')} }} else {{ {arm[2]} }}"
    if old.endswith(";"):
        return f"if {asked} {{ {new} }} else {{ {old} }}"
    if old.startswith("."):
        text = re.fullmatch(r"(\.\w+)\((.*)\)", old, re.S)
        other = re.fullmatch(r"(\.\w+)\((.*)\)", new, re.S)
        return f"{text[1]}(if {asked} {{ {other[2]} }} else {{ {text[2]} }})"
    return f"(if {asked} {{ {new} }} else {{ {old} }})"


def plant(faults):
    shutil.rmtree(COPY, ignore_errors=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, files):
        target = COPY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, target)
    texts = {}
    for name, file, old, new in faults:
        text = texts.setdefault(file, (COPY / file).read_text())
        if text.count(old) != 1:
            sys.exit(f"{file}: the place of the fault \"{name}\" is there {text.count(old)} times, not once:\n  {old}")
        texts[file] = text.replace(old, choice(name, old, new))
    for file, text in texts.items():
        (COPY / file).write_text(text)
    with open(COPY / "src" / "lib.rs", "a") as lib:
        lib.write(PLANTED)


def compile():
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    ran = subprocess.run(["cargo", "test", "--quiet", "--test", "it", "--no-run", "--message-format=json"], cwd=COPY, stdout=subprocess.PIPE,
                         env={**os.environ, "CARGO_TARGET_DIR": target})
    if ran.returncode:
        sys.exit("the faults do not compile")
    for line in ran.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "it":
            return message["executable"]


def search(program, name, trees):
    """Runs the differential test; the number of the tree that differs, or None."""
    ran = subprocess.run([program, "kustomize::both_make_the_same_of_random_trees", "--exact"], cwd=COPY, text=True,
                         capture_output=True, env={**os.environ, "PLANTED": name, "FIRST": "1", "TREES": str(trees), "DEMAND_NODE": "1"})
    found = re.search(r"^tree (\d+): ", ran.stderr, re.M)
    if ran.returncode and not found:
        sys.exit(f"{name}: the test does not run:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return int(found[1]) if found else None


def main():
    faults = [fault for fault in FAULTS if len(sys.argv) == 1 or fault[0] in sys.argv[1:]]
    trees = int(os.environ.get("TREES", 2000))
    plant(FAULTS)
    program = compile()
    if search(program, "", 200) is not None:
        sys.exit("without a fault there is a difference, too")
    missed = 0
    print(f"{'fault':52} {'file':32} found by tree")
    for name, file, _, _ in faults:
        started = time.monotonic()
        found = search(program, name, trees)
        missed += found is None
        where = f"none of {trees}" if found is None else found
        print(f"{name:52} {file:32} {where} ({time.monotonic() - started:.0f} s)", flush=True)
    print(f"{len(faults) - missed} of {len(faults)} faults found")
    sys.exit(1 if missed else 0)


main()

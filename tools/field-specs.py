#!/usr/bin/env python3
"""Write src/kustomize/fieldspecs.txt: which fields of which kinds kustomize's transformers look at by default.

    field-specs.py api/internal/konfig/builtinpluginconsts > src/kustomize/fieldspecs.txt
    UPDATE_DOCS=1 cargo test --lib kustomize::config    # sorts it

The input are the constants of the module sigs.k8s.io/kustomize/api. The lines of the output:

    [SECTION]
    = GROUP VERSION KIND     (nameReference only) names of these objects are referred to by the fields below
    GROUP VERSION KIND PATH  a field; `-` stands for any
    +GROUP ...               the field is created where it is missing
"""
import pathlib
import re
import sys

import yaml

folder = pathlib.Path(sys.argv[1])
texts = {}
for file in sorted(folder.glob("*.go")):
    source = file.read_text()
    for name, text, more in re.findall(r"(\w+)\s*=\s*`([^`]*)`((?:\s*\+\s*\w+)*)", source):
        texts[name] = (text, re.findall(r"\w+", more))


def line(spec):
    selector = " ".join(spec.get(key) or "-" for key in ("group", "version", "kind"))
    return ("+" if spec.get("create") else "") + selector + " " + spec["path"]


merged = {}
for name, (text, more) in texts.items():
    loaded = yaml.safe_load(text + "".join(texts[other][0] for other in more)) or {}
    # Those without a section are parts of others.
    if isinstance(loaded, dict):
        merged.update(loaded)
for section in sorted(merged):
    print(f"[{section}]")
    for entry in merged[section]:
        if section == "nameReference":
            print("= " + " ".join(entry.get(key) or "-" for key in ("group", "version", "kind")))
            for spec in entry["fieldSpecs"]:
                print(line(spec))
        else:
            print(line(entry))

#!/usr/bin/env python3
"""Write src/kustomize/schema.txt: which lists of the built-in kinds merge by which keys.

    merge-schema.py kyaml/openapi/kubernetesapi/v1_21_2/swagger.pb.gz > src/kustomize/schema.txt

The input is the OpenAPI document that kustomize itself merges by (module sigs.k8s.io/kustomize/kyaml), an OpenAPI v2
document as protocol buffers. What no list that merges lies below is left out. The lines of the output:

    T            a new type, numbered from 0
    f NAME TYPE  its field NAME has TYPE
    e TYPE       it is a list with elements of TYPE
    m KEYS       it is a list that merges by KEYS (comma-separated, none for lists of scalars)
    a TYPE       every other field has TYPE
    k APIVERSION KIND TYPE   objects of this kind have TYPE
    d NAME TYPE  the definition NAME is TYPE

TYPE is a number, `o` (known, nothing merges below) or `x` (anything may stand there, also another object).
"""
import gzip
import sys


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def message(data):
    """Field number -> list of values, of one protocol buffer message."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = data[at : at + 8], at + 8
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            value, at = data[at : at + 4], at + 4
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def named(data):
    fields = message(data)
    return fields[1][0].decode(), fields.get(2, [b""])[0]


def extensions(schema):
    result = {}
    for entry in schema.get(31, []):
        name, value = named(entry)
        result[name] = message(value).get(2, [b""])[0].decode()
    return result


def lines(text):
    return [line.lstrip("- ").strip().strip("\"'") for line in text.splitlines() if line.strip()]


class Schemas:
    def __init__(self, document):
        definitions = message(message(document)[9][0])
        self.raw = {name: message(value) for name, value in map(named, definitions[1])}
        self.interesting = {}
        self.numbers = {}
        self.types = []

    def follow(self, schema):
        while 1 in schema:
            schema = self.raw[schema[1][0].decode().rsplit("/", 1)[1]]
        return schema

    def parts(self, schema):
        """(fields, elements, other fields) of a schema that is no reference."""
        fields = {}
        if 25 in schema:
            fields = {name: message(value) for name, value in map(named, message(schema[25][0]).get(1, []))}
        elements = other = None
        kinds = [kind.decode() for kind in message(schema[22][0]).get(1, [])] if 22 in schema else []
        if kinds == ["array"] and 23 in schema:
            elements = message(message(schema[23][0])[1][0])
        if 21 in schema and 1 in message(schema[21][0]):
            other = message(message(schema[21][0])[1][0])
        return fields, elements, other, kinds

    def merges(self, schema, seen=()):
        """Whether a list that merges lies at or below the schema."""
        if 1 in schema:
            name = schema[1][0].decode()
            if name in seen:
                return False
            if name not in self.interesting:
                found = self.merges(self.follow(schema), (*seen, name))
                if seen:
                    return found
                self.interesting[name] = found
            return self.interesting[name]
        if "merge" in extensions(schema).get("x-kubernetes-patch-strategy", "").strip().split(","):
            return True
        fields, elements, other, _ = self.parts(schema)
        below = [*fields.values(), *(part for part in (elements, other) if part is not None)]
        return any(self.merges(part, seen) for part in below)

    def type(self, schema):
        resolved = self.follow(schema)
        fields, elements, other, kinds = self.parts(resolved)
        if not fields and elements is None and other is None and (not kinds or kinds == ["object"]):
            return "x"
        if not self.merges(schema):
            return "o"
        name = schema[1][0].decode() if 1 in schema else None
        if name in self.numbers:
            return self.numbers[name]
        number = len(self.types)
        out = []
        self.types.append(out)
        if name:
            self.numbers[name] = number
        found = extensions(resolved)
        if "merge" in found.get("x-kubernetes-patch-strategy", "").strip().split(","):
            keys = lines(found.get("x-kubernetes-list-map-keys", found.get("x-kubernetes-patch-merge-key", "")))
            out.append(f"m {','.join(keys)}".rstrip())
        for field in sorted(fields):
            kind = self.type(fields[field])
            if kind != "o":
                out.append(f"f {field} {kind}")
        if elements is not None:
            out.append(f"e {self.type(elements)}")
        if other is not None:
            out.append(f"a {self.type(other)}")
        return number


def main():
    schemas = Schemas(gzip.open(sys.argv[1]).read())
    kinds = {}
    for name in sorted(schemas.raw):
        text = extensions(schemas.raw[name]).get("x-kubernetes-group-version-kind")
        if not text:
            continue
        entry = {}
        for line in [*text.splitlines(), "- "]:
            if line.startswith("- ") and entry:
                version = entry["version"]
                api = f"{entry['group']}/{version}" if entry["group"] else version
                kinds[(api, entry["kind"])] = name
                entry = {}
            key, _, value = line.lstrip("- ").partition(":")
            entry[key.strip()] = value.strip().strip("\"'")
            entry.pop("", None)
    out = []
    for (api, kind), name in sorted(kinds.items()):
        reference = {1: [f"#/definitions/{name}".encode()]}
        out.append(f"k {api} {kind} {schemas.type(reference)}")
    for lines_of_type in schemas.types:
        print("T")
        print("\n".join(lines_of_type))
    print("\n".join(out))
    for name, number in sorted(schemas.numbers.items()):
        print(f"d {name.rsplit('/', 1)[1]} {number}")


sys.setrecursionlimit(10000)
main()

#!/usr/bin/env bash
# Prints what the library costs a program that uses it: crates, build time and size, for each choice of features; and
# the same of the command. Everything is built anew: `benches/costs.sh` takes some minutes.
#
# The programs are small but use what their features bring. They are built with Cargo's release profile as it is by
# default, and their size is what they have more than an empty program. Times are those of all processors, which depend
# less on what else the machine does: with N cores a build takes more than an Nth of it.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0 TIMEFORMAT='%U %S'
unset CARGO_TARGET_DIR

# package NAME DEPENDENCIES: a package whose program is read from standard input.
package() {
  mkdir -p "$place/$1/src"
  cat >"$place/$1/src/main.rs"
  printf '[package]\nname = "%s"\nedition = "2024"\n[dependencies]\n%s\n' "$1" "$2" >"$place/$1/Cargo.toml"
  cp "$repository/Cargo.lock" "$place/$1/"
}

# row TITLE DIRECTORY PROGRAM EMPTY [PACKAGE]: builds it, and prints its row; EMPTY is the size of an empty program.
row() {
  local crates seconds size stripped
  cd "$2"
  cargo fetch --quiet
  crates=$(cargo tree ${5:+--package "$5"} --edges normal --prefix none --no-dedupe | awk '{ print $1 }' | sort -u | wc -l)
  seconds=$({ time cargo build --quiet --release ${5:+--package "$5"} --target-dir "$place/built/$3"; } 2>&1)
  size=$(stat -c %s "$place/built/$3/release/$3")
  strip -o "$place/stripped" "$place/built/$3/release/$3"
  stripped=$(stat -c %s "$place/stripped")
  awk -v title="$1" -v crates="$crates" -v seconds="$seconds" -v size="$size" -v stripped="$stripped" -v empty="$4" 'BEGIN {
    split(seconds, time, " "); split(empty, base, " ")
    printf "| %s | %d | %.0f | %.2f | %.2f |\n", title, crates - 1, time[1] + time[2],
      (size - base[1]) / 1048576, (stripped - base[2]) / 1048576
  }'
  sizes="$size $stripped"
}

package empty "" <<'RUST'
fn main() {}
RUST
package readers 'layercage = { path = "'"$repository"'", default-features = false }' <<'RUST'
use layercage::{Expected, Limits, blob::LayerStream, tar::Change, tar::TarReader};

fn main() -> Result<(), layercage::Error> {
    let limits = Limits::default();
    let stream = LayerStream::open(std::io::stdin(), Expected::unchecked(), &limits)?;
    let mut reader = TarReader::new(stream, &limits);
    while let Some(entry) = reader.next_entry()? {
        println!("{:?}", Change::of(&entry, &limits)?);
    }
    Ok(())
}
RUST
package default 'layercage = { path = "'"$repository"'" }
cap-std = "4"' <<'RUST'
use layercage::{Image, Policy, Selector};

fn main() -> Result<(), layercage::Error> {
    let image = Image::open_ambient("image", cap_std::ambient_authority())?;
    let report = image.select(&Selector::host())?.unpack_to("rootfs", &Policy::default(), cap_std::ambient_authority())?;
    println!("{report:?}");
    Ok(())
}
RUST
package all 'layercage = { path = "'"$repository"'", features = ["sandbox", "serde"] }
cap-std = "4"
serde_json = "1"' <<'RUST'
use cap_std::{ambient_authority, fs::Dir};
use layercage::{Image, Policy, Selector, sandbox::Sandbox};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = Dir::open_ambient_dir(".", ambient_authority())?;
    let policy: Policy = serde_json::from_reader(std::io::stdin())?;
    let selected = Image::open_at(&parent, "image", Default::default())?.select(&Selector::host())?;
    Sandbox::for_policy(&policy).read(&parent).write(&parent).enter()?;
    println!("{}", serde_json::to_string(&selected.unpack_into(&parent, "rootfs", &policy)?)?);
    Ok(())
}
RUST

echo "$(nproc) cores, $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1), $(rustc --version)"
echo
echo "| built | crates, layercage included | processor time in seconds | MiB | MiB, stripped |"
echo "|---|---|---|---|---|"
row "an empty program" "$place/empty" empty "0 0" >"$place/row"
empty=$sizes
row "\`default-features = false\`" "$place/readers" readers "$empty"
row "default features" "$place/default" default "$empty"
row "all features" "$place/all" all "$empty"
row "the command" "$repository" layercage "0 0" layercage-cli

#!/bin/sh
# openapi-generator.sh runs the release of openapi-generator that openapi-generator.pom.xml pins, with its arguments.
# Maven fetches it at the first use, and again when the file changes.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
pom=$here/openapi-generator.pom.xml
jar=$here/../../.task/openapi-generator/openapi-generator-cli.jar

for program in java mvn; do
  if ! command -v "$program" >/dev/null; then
    echo "openapi-generator.sh: $program is missing; on Debian, install default-jre-headless and maven." >&2
    exit 1
  fi
done
if [ ! -f "$jar" ] || [ "$pom" -nt "$jar" ]; then
  rm -f "$jar"
  mvn --quiet --batch-mode -Dstyle.color=never --file "$pom" dependency:copy >&2
  touch "$jar" # copies keep the time of the release
fi
exec java -jar "$jar" "$@"

#!/bin/sh
# Runs a command as the user to whom the project on the host belongs: the owner
# of the mounted prototxt/ (of the image's own where none is mounted, user 1000).
# So what is written below data/ and runs/ is that user's, with nothing to set
# up. Where it is root, the command is root without any of root's rights.
set -eu
if [ "$(id -u)" != 0 ]; then
  exec "$@"  # docker run --user
fi
user=$(stat -c %u /app/prototxt)
group=$(stat -c %g /app/prototxt)
# Docker makes mounted folders that the host does not have, as root.
for folder in /app/data /app/runs; do
  if [ "$(stat -c %u "$folder")" = 0 ]; then
    chown "$user:$group" "$folder"
  fi
done
exec setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs \
  --inh-caps -all --bounding-set -all -- "$@"

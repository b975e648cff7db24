#!/usr/bin/env bash
# A real Git server over one of the two transports, in the foreground, for the tests and the demo.
# Usage: git.sh https|ssh DIR PORT [ADDRESS...]     (ADDRESS: other IP addresses than 127.0.0.1 to serve, and to certify)
#
# The bare repositories are DIR/repos/*.git. What a client needs is left in DIR, made on the first run:
#   https   https://ADDRESS:PORT/NAME.git, user `git`, password in DIR/password, authority in DIR/ca.crt;
#           git http-backend behind Debian's Apache, pushes included; every request is a line of DIR/access.log
#   ssh     ssh://USER@127.0.0.1:PORT/DIR/repos/NAME.git, key in DIR/identity, host key in DIR/known_hosts;
#           git-shell behind Debian's sshd
set -euo pipefail
transport=$1 dir=$(readlink -f "$2") port=$3
addresses=(127.0.0.1 "${@:4}")
mkdir -p "$dir/repos"
cd "$dir"

https() {
  local names address
  names=$(printf ',IP:%s' "${addresses[@]}")
  if [ ! -e server.crt ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj '/CN=git authority' -days 3650 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=git 2>/dev/null
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out server.crt \
      -extfile <(echo "subjectAltName=DNS:localhost$names") 2>/dev/null
    [ -e password ] || openssl rand -hex 16 >password
    echo "git:$(openssl passwd -apr1 "$(cat password)")" >users
  fi
  cat >apache.conf <<CONF
ServerName localhost
PidFile $dir/apache.pid
ErrorLog $dir/error.log
$(for module in mpm_prefork authn_core authn_file authz_core authz_user auth_basic alias env cgi ssl; do
  echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
done)
StartServers 2
$(for address in "${addresses[@]}"; do echo "Listen $address:$port"; done)
LogFormat "%{%s}t %u %>s %r" plain
CustomLog $dir/access.log plain
SSLEngine on
SSLCertificateFile $dir/server.crt
SSLCertificateKeyFile $dir/server.key
SSLSessionCache none
SetEnv GIT_PROJECT_ROOT $dir/repos
SetEnv GIT_HTTP_EXPORT_ALL 1
ScriptAlias / /usr/lib/git-core/git-http-backend/
<Location />
  AuthType Basic
  AuthName git
  AuthBasicProvider file
  AuthUserFile $dir/users
  Require valid-user
</Location>
CONF
  # Apache's workers refuse to be root. Here they are root under another name: they may write what we wrote, and the reverse.
  # A kill of the first process ends all of them.
  local as=()
  [ "$(id -u)" != 0 ] ||
    as=(unshare --user --pid --fork --kill-child --map-user="$(id -u www-data)" --map-group="$(id -g www-data)")
  exec "${as[@]}" apache2 -d "$dir" -f "$dir/apache.conf" -D FOREGROUND
}

ssh() {
  [ -e host ] || ssh-keygen -q -t ed25519 -N '' -C host -f host
  [ -e identity ] || ssh-keygen -q -t ed25519 -N '' -C client -f identity
  echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 host.pub)" >known_hosts
  [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
  cat >sshd.conf <<CONF
$(for address in "${addresses[@]}"; do echo "ListenAddress $address:$port"; done)
HostKey $dir/host
PidFile $dir/sshd.pid
AuthorizedKeysFile $dir/identity.pub
ForceCommand git-shell -c "\$SSH_ORIGINAL_COMMAND"
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
CONF
  exec /usr/sbin/sshd -D -E "$dir/sshd.log" -f "$dir/sshd.conf"
}

case $transport in
https | ssh) "$transport" ;;
*) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

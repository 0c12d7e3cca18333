set -e
make() { mkdir "../$1" && cd "../$1" && git init -q . && echo "$1" >name && git add . && git -c user.name=t -c user.email=t@t commit -qm "$1"; }
here=$PWD
(make deeper)
(make library && git -c protocol.file.allow=always submodule add -q ../deeper && git -c user.name=t -c user.email=t@t commit -qm sub)
git init -q . && git -c protocol.file.allow=always submodule add -q ../library
git -c protocol.file.allow=always submodule update -q --init --recursive

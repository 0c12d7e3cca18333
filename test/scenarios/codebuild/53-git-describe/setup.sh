export GIT_AUTHOR_DATE=2026-01-01T00:00:00Z GIT_COMMITTER_DATE=2026-01-01T00:00:00Z
commit() { git -c user.name=t -c user.email=t@t -c commit.gpgsign=false commit -q --allow-empty -m "$1"; }
git init -q . && git add buildspec.yml && commit first && git -c user.name=t -c user.email=t@t tag -a v1.2.0 -m v1.2.0
commit second && commit third
git checkout -q --detach

git init -q . && git add . && git -c user.name=t -c user.email=t@t commit -qm all
echo '# changed' >>services/mail/build.sh
echo '# changed' >>services/web/build.sh
echo more >README && git add . && git -c user.name=t -c user.email=t@t commit -qm some

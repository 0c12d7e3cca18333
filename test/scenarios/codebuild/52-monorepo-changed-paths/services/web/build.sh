echo web >out.txt
echo "built web"

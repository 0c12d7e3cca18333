echo mail >out.txt
echo "built mail"

echo cart >out.txt
echo "built cart"

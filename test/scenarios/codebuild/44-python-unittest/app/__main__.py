from price import with_tax
print('total', with_tax(100))

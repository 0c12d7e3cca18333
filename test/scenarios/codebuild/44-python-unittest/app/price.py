def with_tax(net):
    return net + net * 19 // 100

import sys, unittest
sys.path.insert(0, 'app')
from price import with_tax

class PriceTest(unittest.TestCase):
    def test_tax(self):
        self.assertEqual(with_tax(200), 238)

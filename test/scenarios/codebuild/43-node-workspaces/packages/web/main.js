console.log(`web says ${require('@shop/greet')('shop')}`);

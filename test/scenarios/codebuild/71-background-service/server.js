const fs = require('node:fs');
fs.writeFileSync('pid', String(process.pid));
const server = require('node:http').createServer((_, response) => response.end('served'));
server.listen(0, '127.0.0.1', () => fs.writeFileSync('port', String(server.address().port)));

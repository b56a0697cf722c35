// A small application: serves files, takes uploads, and does what servers do at odd moments.
//
//     node app.js FOLDER SETTINGS
//
// It prints its port and that of its control server, which the tests ask what it has seen.

'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const {pipeline} = require('stream');

const [folder, settings] = [process.argv[2], JSON.parse(process.argv[3])];
const seen = {connections: 0, open: 0, requests: 0, bytes: 0}; // bytes of uploads
let waiting = [];

const server = http.createServer({keepAliveTimeout: 60_000, ...settings});
server.maxRequestsPerSocket = settings.maxRequestsPerSocket || 0;

server.on('connection', (socket) => {
    seen.connections++;
    seen.open++;
    socket.on('error', () => {});
    socket.on('close', () => seen.open--);
});

function serveFile(request, response) {
    const file = path.join(folder, path.basename(request.url));
    if (!fs.existsSync(file)) {
        response.writeHead(404, {'Content-Length': 0});
        return response.end();
    }
    const size = fs.statSync(file).size;
    response.writeHead(200, {'Content-Length': size, 'ETag': '"one"'});
    if (request.method === 'HEAD') return response.end();
    pipeline(fs.createReadStream(file), response, () => {});
}

// Reads the body to its end and says what it was.
function takeUpload(request, response) {
    const digest = crypto.createHash('sha256');
    let size = 0;
    request.on('data', (data) => {
        digest.update(data);
        size += data.length;
        seen.bytes += data.length;
    });
    request.on('end', () => {
        const said = {
            sha: digest.digest('hex'),
            size,
            length: request.headers['content-length'] || null,
            coding: request.headers['transfer-encoding'] || null,
            expect: request.headers.expect || null,
            trailers: request.trailers,
        };
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(said));
    });
}

function drip(response, count) {
    let left = count;
    const timer = setInterval(() => {
        left--;
        response.write('x');
        if (left > 0) return;
        clearInterval(timer);
        response.end();
    }, 20);
    response.on('close', () => clearInterval(timer));
}

const pages = {
    '/upload': takeUpload,
    // An answer before the body was read; Node closes the connection once it has left.
    '/early/close': (request, response) => {
        response.writeHead(403, {'Connection': 'close', 'Content-Length': 2});
        response.end('no', () => request.socket.destroy());
    },
    // An answer before the body was read, which is read all the same.
    '/early/read': (request, response) => {
        response.writeHead(403, {'Content-Length': 2});
        response.end('no');
        request.resume();
    },
    '/hints': (request, response) => {
        response.writeEarlyHints({link: '</first.css>; rel=preload'});
        response.writeEarlyHints({link: '</second.css>; rel=preload'});
        response.writeHead(200, {'Content-Length': 6});
        response.end('hinted');
    },
    '/204': (request, response) => {
        response.writeHead(204, {'ETag': '"one"'});
        response.end();
    },
    '/304': (request, response) => {
        response.writeHead(304, {'ETag': '"one"', 'Content-Length': 1234});
        response.end();
    },
    '/trailers': (request, response) => {
        response.writeHead(200, {'Trailer': 'X-Check'});
        response.write('with ');
        response.addTrailers({'X-Check': 'behind'});
        response.end('trailers');
    },
    '/chunked': (request, response) => {
        response.write('two ');
        response.end('pieces');
    },
    '/drip': (request, response) => drip(response, 15),
    '/wait': (request, response) => waiting.push(() => response.end('late')),
    '/reset/before': (request) => request.socket.resetAndDestroy(),
    '/reset/middle': (request, response) => {
        response.writeHead(200, {'Content-Length': 100});
        response.write('some', () => setImmediate(() => request.socket.resetAndDestroy()));
    },
    '/reset/idle': (request, response) => {
        response.end('bye');
        waiting.push(() => request.socket.resetAndDestroy());
    },
};

server.on('request', (request, response) => {
    seen.requests++;
    request.on('error', () => {});
    (pages[request.url] || serveFile)(request, response);
});

// `Expect: 100-continue`.
server.on('checkContinue', (request, response) => {
    const refused = {'/refuse/413': 413, '/refuse/417': 417}[request.url];
    if (refused) {
        seen.requests++;
        response.writeHead(refused, {'Content-Length': 2});
        return response.end('no');
    }
    response.writeContinue();
    server.emit('request', request, response);
});

const control = http.createServer({keepAliveTimeout: 3600_000}, (request, response) => {
    if (request.url === '/release') {
        const ready = waiting;
        waiting = [];
        ready.forEach((go) => go());
    }
    response.end(JSON.stringify({...seen, waiting: waiting.length}));
});

server.listen(0, '127.0.0.1', () => {
    control.listen(0, '127.0.0.1', () => {
        console.log(JSON.stringify([server.address().port, control.address().port]));
    });
});

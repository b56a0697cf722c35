// Asks baton with one of Node's two clients and prints what came of it: a line of JSON, then the bodies.
//
//     node client.js JOB
//
// JOB: {what: 'fetch' | 'agent', port, folder, leave, sockets,
//       asks: [{path, method, upload, chunked, trailers, fields}]}
// `leave`: 'download' or 'upload': gives the last request up in the middle. `sockets`: so many of an agent's at once.

'use strict';

const diagnostics = require('diagnostics_channel');
const fs = require('fs');
const http = require('http');
const path = require('path');
const {Readable} = require('stream');

const job = JSON.parse(process.argv[2]);
let connections = 0;
diagnostics.channel('undici:client:connected').subscribe(() => connections++);

class CountingAgent extends http.Agent {
    createConnection(...given) {
        connections++;
        return super.createConnection(...given);
    }
}
const agent = new CountingAgent({keepAlive: true, maxSockets: job.sockets || 1});

function bodyOf(ask, leaving) {
    const file = fs.createReadStream(path.join(job.folder, ask.upload));
    if (leaving) {
        let size = 0;
        file.on('data', (data) => {
            size += data.length;
            if (size > 1 << 20) leaving();
        });
    }
    return file;
}

function sizeOf(ask) {
    return fs.statSync(path.join(job.folder, ask.upload)).size;
}

function askByAgent(ask, leave) {
    return new Promise((resolve, reject) => {
        const headers = {...ask.fields};
        if (ask.upload && !ask.chunked) headers['Content-Length'] = sizeOf(ask);
        if (ask.chunked) headers['Transfer-Encoding'] = 'chunked';
        const options = {host: '127.0.0.1', port: job.port, path: ask.path, method: ask.method, headers, agent};
        const request = http.request(options);
        if (ask.trailers) request.addTrailers({'X-Check': 'behind'});
        const interim = [];
        let answered = false;
        request.on('information', (info) => interim.push(info.statusCode));
        request.on('error', (fault) => {
            if (!answered) reject(fault); // else the rest of the upload was not wanted
        });
        request.on('response', (response) => {
            answered = true;
            const body = [];
            response.on('data', (data) => {
                body.push(data);
                if (leave === 'download') {
                    request.destroy();
                    resolve(null);
                }
            });
            response.on('error', reject);
            response.on('end', () => resolve({
                status: response.statusCode,
                fields: Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
                body: Buffer.concat(body),
                interim,
                trailers: Object.keys(response.trailers),
            }));
        });
        const upload = () => bodyOf(ask, leave === 'upload' && (() => {
            request.destroy();
            resolve(null);
        })).pipe(request);
        if (!ask.upload) return request.end();
        if (!headers.Expect) return upload();
        request.on('continue', upload);
        request.flushHeaders();
    });
}

async function askByFetch(ask, leave) {
    const abort = new AbortController();
    const options = {method: ask.method, headers: {...ask.fields}, signal: abort.signal};
    if (ask.upload) {
        options.duplex = 'half';
        const leaving = leave === 'upload' && (() => abort.abort());
        if (ask.chunked || leave) options.body = Readable.toWeb(bodyOf(ask, leaving));
        else options.body = fs.readFileSync(path.join(job.folder, ask.upload)); // its length is known
    }
    try {
        const response = await fetch(`http://127.0.0.1:${job.port}${ask.path}`, options);
        const body = [];
        if (response.body) {
            for await (const data of response.body) {
                body.push(data);
                if (leave === 'download') abort.abort();
            }
        }
        return {status: response.status, fields: [...response.headers], body: Buffer.concat(body), interim: [],
            trailers: []};
    } catch (fault) {
        if (leave && fault.name === 'AbortError') return null;
        throw fault.cause || fault;
    }
}

async function main() {
    const ask = job.what === 'fetch' ? askByFetch : askByAgent;
    const last = job.asks[job.asks.length - 1];
    const answers = [];
    if (job.sockets) {
        answers.push(...await Promise.all(job.asks.map((one) => ask(one))));
    } else {
        for (const one of job.asks) answers.push(await ask(one, one === last && job.leave));
    }
    const told = answers.filter((answer) => answer);
    const line = JSON.stringify({connections, answers: told.map(({body, ...rest}) => ({...rest, size: body.length}))});
    const out = Buffer.concat([Buffer.from(line + '\n'), ...told.map((answer) => answer.body)]);
    process.stdout.write(out, () => process.exit(0)); // idle connections would keep it running
}

main().catch((fault) => {
    console.error(fault);
    process.exit(1);
});

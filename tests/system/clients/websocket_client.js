// Node's own WebSocket, where it has one: says a text and a megabyte, closes, and prints what came back.
//
//     node websocket_client.js PORT

'use strict';

const socket = new WebSocket(`ws://127.0.0.1:${process.argv[2]}/`);
const bytes = new Uint8Array(1 << 20).map((_, index) => index * 7);
const told = {text: null, same: null, code: null, clean: null};

socket.binaryType = 'arraybuffer';
socket.onopen = () => socket.send('grüß dich');
socket.onerror = (event) => console.error(event.message);
socket.onmessage = (event) => {
    if (typeof event.data === 'string') {
        told.text = event.data;
        return socket.send(bytes);
    }
    told.same = Buffer.from(event.data).equals(Buffer.from(bytes));
    socket.close(4001, 'enough');
};
socket.onclose = (event) => {
    told.code = event.code;
    told.clean = event.wasClean;
    console.log(JSON.stringify(told));
    process.exit(0);
};

// What programs do with amqplib under TLS: amqplib-tls.js PORT CA [CERTIFICATE KEY].

'use strict';

const assert = require('assert');
const fs = require('fs');
const amqplib = require('amqplib');

async function main([port, ca, certificate, key]) {
    const options = { ca: [fs.readFileSync(ca)] };
    if (certificate) {
        options.cert = fs.readFileSync(certificate);
        options.key = fs.readFileSync(key);
        options.credentials = amqplib.credentials.external();
    }
    const connection = await amqplib.connect(`amqps://guest:guest@localhost:${port}`, options);
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const body = Buffer.alloc(1000000, 'x');
    channel.sendToQueue(queue, body);
    await channel.waitForConfirms();
    const message = await channel.get(queue, { noAck: true });
    assert(message.content.equals(body));
    await connection.close();
    console.log('got it');
}

main(process.argv.slice(2)).catch((error) => {
    console.error(error);
    process.exit(1);
});

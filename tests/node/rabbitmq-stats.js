// What programs do with rabbitmq-stats: it asks without a login first, and logs in when told to.

'use strict';

const assert = require('assert');
const stats = require('rabbitmq-stats');

const PATIENCE_MS = 30000;

async function until(what, isSo) {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await isSo())) {
        assert(Date.now() < deadline, what);
        await new Promise((done) => setTimeout(done, 50));
    }
}

async function walk(client) {
    const named = (rows) => rows.map((row) => row.name);
    const overview = await client.getOverview();
    assert(overview.rabbitmq_version && overview.object_totals.queues >= 0);
    assert.strictEqual((await client.whoAmI()).name, 'guest');
    const nodes = await client.getNodes();
    for (const node of nodes) {
        assert.strictEqual((await client.getNode(node.name)).name, node.name);
    }
    await client.getExtensions();

    await client.putVhost('no/de', {});
    await client.putUser('eve', { password: 'secret', tags: 'management' });
    const all = { configure: '.*', write: '.*', read: '.*' };
    await client.setUserPermissions('eve', 'no/de', all);
    await client.setUserPermissions('guest', 'no/de', all);
    assert(named(await client.getVhosts()).includes('no/de'));
    assert.strictEqual((await client.getVhost('no/de')).name, 'no/de');
    assert(named(await client.getUsers()).includes('eve'));
    assert.strictEqual((await client.getUser('eve')).name, 'eve');
    assert.strictEqual((await client.getUserPermissions('eve'))[0].vhost, 'no/de');

    await client.putVhostExchange('no/de', 'x', { type: 'fanout', durable: true });
    await client.putVhostQueue('no/de', 'q', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    assert.strictEqual((await client.getVhostExchange('no/de', 'x')).type, 'fanout');
    assert(named(await client.getVhostExchanges('no/de')).includes('x'));
    assert(named(await client.getExchanges()).includes('x'));
    await until('the queue is counted', async () => {
        return (await client.getVhostQueue('no/de', 'q')).messages === 0;
    });
    assert.deepStrictEqual(named(await client.getVhostQueues('no/de')), ['q']);
    assert(named(await client.getQueues()).includes('q'));
    assert.strictEqual((await client.getVhostBindings('no/de')).length, 1);
    await client.getBindings();
    await client.deleteVhostQueueContents('no/de', 'q');

    for (const list of [
        client.getConnections(),
        client.getChannels(),
        client.getConsumers(),
        client.getVhostConsumers('no/de'),
        client.getPolicies(),
    ]) {
        assert(Array.isArray(await list));
    }
    await assert.rejects(client.getConnection('nobody'), { statusCode: 404 });

    await client.deleteVhostQueue('no/de', 'q');
    await client.deleteVhostExchange('no/de', 'x');
    await client.deleteUser('eve');
    await client.deleteVhost('no/de');
    assert(!named(await client.getVhosts()).includes('no/de'));
    console.log(JSON.stringify({ nodes: nodes.length }));
}

walk(stats(process.argv[2], 'guest', 'guest')).catch((error) => {
    console.error(error);
    process.exit(1);
});

// A user agent of JsSIP, which browsers have, in Node.js. It registers and asks for what is served; then it calls and hangs up, or is called and hung up on; and takes
// its registration back. What it has done it says, a line each; where something fails, it ends with a status that is not 0.
//
// Usage: node agent.js WEBSOCKET-URL NAME CE [CALLEE]; what it requires is where NODE_PATH says.
'use strict';

// What of a browser JsSIP needs: a WebSocket, and WebRTC, of which the gateway knows the session descriptions only.
class PeerConnection {
    iceGatheringState = 'complete';
    iceConnectionState = 'connected';
    signalingState = 'stable';
    localDescription = null;
    addEventListener() {}
    removeEventListener() {}
    getSenders() { return []; }
    getReceivers() { return []; }
    close() { this.signalingState = 'closed'; }
    async createOffer() { return { type: 'offer', sdp: description('a=svpn:class=5', 'b=TIAS:50000000', 'a=maxprate:50') }; }
    async createAnswer() { return { type: 'answer', sdp: description() }; }
    async setLocalDescription(description) {
        this.localDescription = description;
        this.signalingState = description.type === 'offer' ? 'have-local-offer' : 'stable';
    }
    async setRemoteDescription({ type }) { this.signalingState = type === 'offer' ? 'have-remote-offer' : 'stable'; }
}
globalThis.window = globalThis;
globalThis.WebSocket = require('ws');
globalThis.RTCPeerConnection = PeerConnection;
globalThis.RTCSessionDescription = class { constructor(description) { Object.assign(this, description); } };
const JsSIP = require('jssip');

const [url, name, ce, callee] = process.argv.slice(2);
const domain = 'vpn-a.provider.example';
const without = { mediaConstraints: { audio: false, video: false } };

function description(session, ...media) {
    const address = callee ? '10.1.0.5' : '10.2.0.5';
    const lines = ['v=0', `o=- 1 1 IN IP4 ${address}`, 's=-', `c=IN IP4 ${address}`, 't=0 0', session, 'm=audio 5000 RTP/AVP 0', ...media];
    return lines.filter(line => line).map(line => `${line}\r\n`).join('');
}

function fail(what, event) {
    console.error(`${what}: ${event?.cause ?? event?.stack ?? ''} ${event?.response?.status_code ?? event?.message?.status_code ?? ''}`);
    process.exit(1);
}

function once(emitter, event) {
    return new Promise(resolve => emitter.once(event, resolve));
}

function options(agent) {
    return new Promise((resolve, reject) => {
        const eventHandlers = { succeeded: ({ response }) => resolve(response), failed: reject };
        agent.sendOptions(`sip:${domain}`, '', { eventHandlers });
    });
}

async function main() {
    const agent = new JsSIP.UA({
        sockets: [new JsSIP.WebSocketInterface(url)],
        uri: `sip:${name}@${domain}`,
        authorization_user: name,
        password: `${name}-s3cret`,
        register_expires: 60,
        register: false,
    });
    agent.registrator().setExtraContactParams({ 'svpn-ce': ce });
    agent.on('registrationFailed', event => fail('not registered', event));
    agent.on('newRTCSession', ({ session }) => session.on('failed', event => fail('no call', event)));
    const incoming = once(agent, 'newRTCSession');
    agent.start();
    await once(agent, 'connected');
    agent.register();
    await once(agent, 'registered');
    const response = await options(agent);
    if (!response.getHeader('Allow').includes('INVITE')) fail('OPTIONS does not tell what is served');
    console.log('registered');
    const session = callee ? agent.call(`sip:${callee}@${domain}`, without) : (await incoming).session;
    const [confirmed, ended] = [once(session, 'confirmed'), once(session, 'ended')];
    if (!callee) session.answer(without);
    await confirmed;
    console.log('established');
    if (callee) session.terminate();
    await ended;
    console.log('ended');
    agent.unregister();
    await once(agent, 'unregistered');
    console.log('unregistered');
    process.exit(0);
}

main().catch(error => fail('failed', error));

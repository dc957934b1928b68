import { discover, fetchConfig, nameOf, type Node } from './api.ts';
import { Sound } from './audio.ts';
import { Phone, type CallState, type Registration } from './phone.ts';
import { QualityMeter } from './quality.ts';

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const sound = new Sound();
let phone: Phone | undefined;
let call: CallState = { state: 'idle' };
let meter: QualityMeter | undefined;
let muted = false;

function notice(text: string | undefined): void {
  const place = element('notice');
  place.hidden = text === undefined;
  place.textContent = text ?? '';
}

function showRegistration(now: Registration): void {
  const place = element('registration');
  place.dataset['state'] = now.state;
  place.dataset['pop'] = now.state === 'registered' ? now.node : '';
  const texts: Record<Registration['state'], string> = {
    'signed-out': 'Signed out',
    connecting: 'Connecting …',
    disconnected: 'Connection lost, trying the other nodes …',
    registered: now.state === 'registered' ? `Registered at ${now.node}` : '',
    failed: 'Not registered',
  };
  element('registration-text').textContent = texts[now.state];
  if (now.state === 'failed') notice(now.reason);
  else if (now.state === 'registered') notice(undefined);
  if (now.state === 'failed' && /password/.test(now.reason)) signOut();
}

function showCall(now: CallState): void {
  call = now;
  const place = element('call-state');
  place.dataset['state'] = now.state;
  element('call-panel').hidden = now.state === 'idle';
  const active = now.state !== 'idle' && now.state !== 'ended';
  element('answer').hidden = now.state !== 'incoming';
  element('hang-up').hidden = !active;
  element('hang-up').textContent = now.state === 'incoming' ? 'Decline' : 'Hang up';
  element<HTMLButtonElement>('mute').disabled = now.state !== 'talking';
  for (const key of element('pad').querySelectorAll('button')) key.disabled = now.state !== 'talking';
  element<HTMLButtonElement>('call').disabled = active;
  if (now.state !== 'idle') element('call-peer').textContent = now.peer;
  const texts: Record<CallState['state'], string> = {
    idle: 'Idle',
    calling: 'Calling …',
    ringing: 'Ringing …',
    incoming: 'Incoming call',
    talking: '0:00',
    ended: now.state === 'ended' ? now.reason : '',
  };
  place.textContent = texts[now.state];
  if (now.state === 'incoming' || now.state === 'ringing')
    sound.startRinging(now.state === 'incoming' ? 'incoming' : 'outgoing');
  else sound.stopRinging();
  if (now.state === 'incoming') element('answer').focus();
  if (now.state === 'ended') {
    notice(undefined);
    meter = undefined;
    sound.quiet();
    setMuted(false);
    element<HTMLAudioElement>('remote-audio').srcObject = null;
    element('number').focus();
  }
}

function setMuted(on: boolean): void {
  muted = on;
  const button = element('mute');
  button.setAttribute('aria-pressed', String(on));
  button.textContent = on ? 'Unmute' : 'Mute';
}

function useConnection(connection: RTCPeerConnection): void {
  meter = new QualityMeter(connection);
  connection.addEventListener('track', (event) => {
    const stream = event.streams[0] ?? new MediaStream([event.track]);
    element<HTMLAudioElement>('remote-audio').srcObject = stream;
    sound.listen('in', stream);
  });
  connection.addEventListener('iceconnectionstatechange', () => {
    if (call.state !== 'talking') return;
    const lost = connection.iceConnectionState === 'disconnected';
    notice(lost ? 'The media node cannot be reached, trying again …' : undefined);
  });
  const wait = window.setInterval(() => {
    const track = connection.getSenders().find((sender) => sender.track?.kind === 'audio')?.track;
    if (track) sound.listen('out', new MediaStream([track]));
    if (track || connection.connectionState === 'closed') clearInterval(wait);
  }, 200);
}

async function signIn(): Promise<void> {
  const user = element<HTMLInputElement>('user').value.trim();
  const password = element<HTMLInputElement>('password').value;
  notice(undefined);
  sound.wake();
  let nodes: readonly Node[];
  let domain: string;
  try {
    [{ domain }, nodes] = await Promise.all([fetchConfig(), discover(user)]);
  } catch (error) {
    notice(`The node cannot be reached: ${error instanceof Error ? error.message : String(error)}`);
    return;
  }
  element('sign-in-panel').hidden = true;
  element('phone-panel').hidden = false;
  element('pops').textContent = `Signed in as ${user}. Primary ${nameOf(nodes[0] as Node)}${
    nodes.length > 1 ? `, backup ${nodes.slice(1).map(nameOf).join(', ')}` : ''
  }.`;
  showLinks(nodes);
  phone = new Phone(
    { user, password, domain, nodes, instance: instanceOf(user) },
    { registration: showRegistration, call: showCall, connection: useConnection },
  );
  phone.processing = element<HTMLInputElement>('processing').checked;
  sessionStorage.setItem('user', user);
  element('number').focus();
}

function showLinks(nodes: readonly Node[]): void {
  const place = element('node-links');
  place.replaceChildren(
    ...nodes.flatMap((node, index) => {
      const link = document.createElement('a');
      link.href = `${node.uri.replace(/^wss/, 'https')}/healthz`;
      link.target = '_blank';
      link.rel = 'noopener';
      link.textContent = nameOf(node);
      return index === 0 ? [link] : [', ', link];
    }),
  );
}

/** The same device again after a reload: its old binding is replaced (RFC 5626). */
function instanceOf(user: string): string {
  const key = `instance ${user}`;
  const known = sessionStorage.getItem(key);
  if (known) return known;
  const made = crypto.randomUUID();
  sessionStorage.setItem(key, made);
  return made;
}

function signOut(): void {
  phone?.hangUp();
  phone?.stop();
  phone = undefined;
  element('sign-in-panel').hidden = false;
  element('phone-panel').hidden = true;
  element('call-panel').hidden = true;
  element('password').focus();
}

function dial(number: string): void {
  if (!phone || number === '' || (call.state !== 'idle' && call.state !== 'ended')) return;
  sound.wake();
  phone.call(number);
}

element('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  void signIn();
});
element('dial-form').addEventListener('submit', (event) => {
  event.preventDefault();
  dial(element<HTMLInputElement>('number').value.trim());
});
element('quick').addEventListener('click', (event) => {
  const number = (event.target as HTMLElement).closest<HTMLElement>('[data-number]')?.dataset['number'];
  if (number !== undefined) dial(number);
});
element('answer').addEventListener('click', () => phone?.answer());
element('hang-up').addEventListener('click', () => phone?.hangUp());
element('mute').addEventListener('click', () => {
  setMuted(!muted);
  phone?.mute(muted);
});
element('processing').addEventListener('change', () => {
  if (phone) phone.processing = element<HTMLInputElement>('processing').checked;
});
element('sign-out').addEventListener('click', signOut);
element('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset['theme']
    ? root.dataset['theme'] === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset['theme'] = dark ? 'light' : 'dark';
  localStorage.setItem('theme', root.dataset['theme']);
});
for (const tone of '123456789*0#') {
  const key = document.createElement('button');
  key.type = 'button';
  key.id = `dtmf-${tone === '*' ? 'star' : tone === '#' ? 'hash' : tone}`;
  key.textContent = tone;
  key.addEventListener('click', () => phone?.digit(tone));
  element('pad').append(key);
}
document.addEventListener('keydown', (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape') phone?.hangUp();
  else if (call.state === 'talking' && /^[0-9*#]$/.test(event.key)) phone?.digit(event.key);
});

setInterval(() => {
  element<HTMLMeterElement>('level-in').value = sound.level('in');
  element<HTMLMeterElement>('level-out').value = muted ? 0 : sound.level('out');
  if (call.state === 'talking') {
    const seconds = Math.floor((Date.now() - call.since) / 1000);
    element('call-state').textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  }
}, 100);
setInterval(() => {
  void meter?.read().then(({ codec, roundTripMs, jitterMs, loss }) => {
    const milliseconds = (value: number | undefined) => (value === undefined ? '–' : `${value.toFixed(0)} ms`);
    element('codec').textContent = codec;
    element('round-trip').textContent = milliseconds(roundTripMs);
    element('jitter').textContent = milliseconds(jitterMs);
    element('loss').textContent = loss === undefined ? '–' : `${(loss * 100).toFixed(1)} %`;
  });
}, 1000);

const theme = localStorage.getItem('theme');
if (theme) document.documentElement.dataset['theme'] = theme;
const remembered = sessionStorage.getItem('user') ?? new URLSearchParams(location.search).get('user');
if (remembered) element<HTMLInputElement>('user').value = remembered;
element(remembered ? 'password' : 'user').focus();
showCall({ state: 'idle' });

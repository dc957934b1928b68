/** Levels of both directions, and the sounds of ringing. One AudioContext, made on the first click as browsers want it. */
export class Sound {
  #context: AudioContext | undefined;
  readonly #taps = new Map<
    'in' | 'out',
    { source: MediaStreamAudioSourceNode; analyser: AnalyserNode; data: Float32Array<ArrayBuffer> }
  >();
  #ring: { oscillators: OscillatorNode[]; timer: number } | undefined;

  wake(): void {
    this.#context ??= new AudioContext();
    void this.#context.resume();
  }

  listen(direction: 'in' | 'out', stream: MediaStream): void {
    this.wake();
    const context = this.#context;
    if (!context || stream.getAudioTracks().length === 0) return;
    this.#taps.get(direction)?.source.disconnect();
    const source = context.createMediaStreamSource(stream);
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    source.connect(analyser);
    this.#taps.set(direction, { source, analyser, data: new Float32Array(analyser.fftSize) });
  }

  /** 0 to 1; speech lies about in the middle. */
  level(direction: 'in' | 'out'): number {
    const tap = this.#taps.get(direction);
    if (!tap) return 0;
    tap.analyser.getFloatTimeDomainData(tap.data);
    let sum = 0;
    for (const sample of tap.data) sum += sample * sample;
    const decibels = 10 * Math.log10(sum / tap.data.length + 1e-9);
    return Math.min(1, Math.max(0, (decibels + 60) / 60));
  }

  quiet(): void {
    for (const { source } of this.#taps.values()) source.disconnect();
    this.#taps.clear();
    this.stopRinging();
  }

  /** A double ring every three seconds; softer for the one who waits. */
  startRinging(kind: 'incoming' | 'outgoing'): void {
    this.wake();
    const context = this.#context;
    if (!context || this.#ring) return;
    const oscillators: OscillatorNode[] = [];
    const once = (): void => {
      const gain = context.createGain();
      gain.gain.value = 0;
      gain.connect(context.destination);
      for (const [at, length] of kind === 'incoming'
        ? [
            [0, 0.4],
            [0.6, 0.4],
          ]
        : [[0, 1]]) {
        const start = context.currentTime + (at ?? 0);
        gain.gain.setValueAtTime(kind === 'incoming' ? 0.12 : 0.04, start);
        gain.gain.setValueAtTime(0, start + (length ?? 0));
      }
      const oscillator = context.createOscillator();
      oscillator.frequency.value = kind === 'incoming' ? 480 : 425;
      oscillator.connect(gain);
      oscillator.start();
      oscillator.stop(context.currentTime + 1.2);
      oscillators.push(oscillator);
    };
    once();
    this.#ring = { oscillators, timer: window.setInterval(once, 3000) };
  }

  stopRinging(): void {
    if (!this.#ring) return;
    clearInterval(this.#ring.timer);
    for (const oscillator of this.#ring.oscillators) oscillator.disconnect();
    this.#ring = undefined;
  }
}

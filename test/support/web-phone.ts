import { Softphone } from './browser.ts';
import { ServedPage } from './served-page.ts';

/** The softphone of test/support/web-phone-page.ts, for browsers of its own. */
export class WebPhonePage implements AsyncDisposable {
  readonly #page: ServedPage;

  private constructor(page: ServedPage) {
    this.#page = page;
  }

  static async open(): Promise<WebPhonePage> {
    return new WebPhonePage(await ServedPage.open('web-phone-page.ts'));
  }

  /** A browser of its own, registered at a SIP server that is not ours. */
  async phone(webSocket: string, uri: string, microphoneHz: number): Promise<Softphone> {
    const browser = await Softphone.open(this.#page.url, microphoneHz);
    try {
      await browser.page.evaluate((socket, aor) => window.phone.register(socket, aor), webSocket, uri);
      await state(browser, 'registered');
      return browser;
    } catch (error) {
      await browser[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page[Symbol.asyncDispose]();
  }
}

/** Resolves when the page says so; rejects with what it says instead when it has failed. */
export async function state(browser: Softphone, wanted: string): Promise<void> {
  const handle = await browser.page.waitForFunction(
    (text) => {
      const now = document.body.dataset['state'] ?? '';
      return now === text || now.includes('failed') ? now : undefined;
    },
    { timeout: 10_000 },
    wanted,
  );
  const now = await handle.jsonValue();
  if (now !== wanted) throw new Error(`the page says "${now}", wanted "${wanted}"`);
}

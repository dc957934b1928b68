import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { RecentReplies } from '../../../media/ng/replies.ts';

const reply = Buffer.from('1 d6:result4:ponge');

describe('replies that are kept for requests sent again', () => {
  it('are found by cookie and sender until they are old', () => {
    const replies = new RecentReplies(10, 1000);
    replies.keep('127.0.0.1:5 1', reply, 0);
    assert.equal(replies.find('127.0.0.1:5 1', 1000), reply);
    assert.equal(replies.find('127.0.0.1:6 1', 1000), undefined);
    assert.equal(replies.find('127.0.0.1:5 1', 1001), undefined);
  });

  it('never are more than the limit, and the oldest go first', () => {
    const replies = new RecentReplies(3, 1000);
    for (let n = 0; n < 100; n++) replies.keep(`a ${n}`, reply, n);
    assert.equal(replies.size, 3);
    assert.equal(replies.find('a 96', 100), undefined);
    assert.equal(replies.find('a 97', 100), reply);
  });

  it('leave no trace once they are old', () => {
    const replies = new RecentReplies(100, 1000);
    for (let n = 0; n < 50; n++) replies.keep(`a ${n}`, reply, 0);
    replies.keep('b 1', reply, 5000);
    assert.equal(replies.size, 1);
  });
});

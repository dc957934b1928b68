// A socket of requests on loopback: batches, their order, replies that the kernel refuses, and what is left at the end.
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../net/ports.h"
#include "../net/request_batch.h"
#include "check.h"

using namespace causeway;

namespace {

sockaddr_storage boundTo(int fd) {
  sockaddr_storage at;
  std::memset(&at, 0, sizeof(at));
  socklen_t length = sizeof(at);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length);
  return at;
}

// Its own port, and what it was told; empty when there is nothing.
struct Client {
  int fd;
  explicit Client(const std::string& host) {
    Address any;
    Address::parse(host, 0, any);
    fd = bindUdp(any, 0);
  }
  ~Client() { ::close(fd); }
  void ask(const std::string& text, const sockaddr_storage& to) {
    ::sendto(fd, text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&to), Address::from(to).length());
  }
  std::string told() {
    std::vector<char> bytes(RequestBatch::kRequestBytes);
    const auto got = ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
    return got < 0 ? std::string() : std::string(bytes.data(), static_cast<size_t>(got));
  }
};

struct Server {
  // Exactly as long as it has to be: a read beyond is found.
  std::vector<uint8_t> input = std::vector<uint8_t>(RequestBatch::kRequests * RequestBatch::kRequestBytes);
  std::unique_ptr<RequestBatch> batch;
  sockaddr_storage at{};
  explicit Server(const std::string& host) {
    sockaddr_storage any;
    RequestBatch::parse(host, 0, any);
    batch = std::make_unique<RequestBatch>(RequestBatch::listenAt(any), input.data());
    at = boundTo(batch->fd());
  }
  std::string request(size_t i) { return {reinterpret_cast<char*>(&input[i * RequestBatch::kRequestBytes]), batch->length(i)}; }
  void reply(size_t i, const std::string& text) { replyTo(batch->host(i), batch->port(i), text); }
  void replyTo(const std::string& host, uint16_t port, const std::string& text) {
    sockaddr_storage to;
    RequestBatch::parse(host, port, to);
    batch->reply(to, reinterpret_cast<const uint8_t*>(text.data()), text.size());
  }
};

void batches(const std::string& host) {
  Server server(host);
  Client client(host);
  for (int i = 0; i < 40; i++) client.ask("request " + std::to_string(i), server.at);
  size_t count = server.batch->read();
  check(count == RequestBatch::kRequests && server.request(31) == "request 31", host + ": 32 requests are read at once");
  check(server.batch->host(0) == host && server.batch->port(0) == Address::from(boundTo(client.fd)).port(), host + ": with their sender");
  for (size_t i = 0; i < count; i++) server.reply(i, "re " + server.request(i));
  server.batch->done();
  count = server.batch->read();
  for (size_t i = 0; i < count; i++) server.reply(i, "re " + server.request(i));
  check(count == 8 && client.told() == "re request 0", host + ": replies of the first batch have gone");
  server.batch->done();
  bool inOrder = true;
  for (int i = 1; i < 40; i++) inOrder = inOrder && client.told() == "re request " + std::to_string(i);
  check(inOrder, host + ": all are answered in their order");
  const auto& counters = server.batch->counters();
  check(counters.requests == 40 && counters.replies == 40 && counters.refused == 0, host + ": and counted");
  check(server.batch->read() == 0, host + ": and there is nothing more");
}

void refusals() {
  Server server("127.0.0.1");
  Client client("127.0.0.1");
  client.ask("", server.at);
  client.ask("two", server.at);
  const size_t count = server.batch->read();
  check(count == 2 && server.batch->length(0) == 0, "an empty request is one");
  server.reply(0, std::string(65'507, 'x'));
  server.reply(0, std::string(65'508, 'x'));   // EMSGSIZE
  server.replyTo("127.0.0.1", 0, "to nobody");  // EINVAL
  server.replyTo("::1", 7, "of another family");
  server.reply(1, "good");
  server.batch->done();
  check(client.told().size() == 65'507 && client.told() == "good", "what the kernel refuses does not keep back the rest");
  check(server.batch->counters().refused == 3 && server.batch->counters().replies == 2, "and is counted");
}

void endings() {
  auto server = std::make_unique<Server>("127.0.0.1");
  Client client("127.0.0.1");
  client.ask("one", server->at);
  server->batch->read();
  server->reply(0, "waits");
  const int fd = server->batch->fd();
  server->batch->close();
  check(client.told() == "waits", "what waits is sent before the end");
  check(::fcntl(fd, F_GETFD) < 0 && !server->batch->open(), "the descriptor is closed");
  server->reply(0, "late");
  server->batch->done();
  server->batch->close();
  check(client.told().empty() && server->batch->read() == 0 && server->batch->counters().refused == 0, "a closed one does nothing");
  auto another = std::make_unique<RequestBatch>(RequestBatch::listenAt(server->at), server->input.data());
  check(another->open(), "its port is free");
  check(RequestBatch::listenAt(server->at) < 0, "a port that is taken cannot be had");
  const int left = another->fd();
  another.reset();
  check(::fcntl(left, F_GETFD) < 0, "who lets go of it closes it");
}

void addresses() {
  sockaddr_storage at;
  for (const char* text : {"", "nowhere", "127.0.0.1.1", "%lo", "::g", "127.0.0.1%"}) {
    const bool parsed = RequestBatch::parse(text, 1, at);
    check(parsed == (std::string(text) == "127.0.0.1%"), std::string("\"") + text + "\" is " + (parsed ? "an address" : "no address"));
  }
  check(RequestBatch::parse("fe80::1%lo", 1, at) && reinterpret_cast<sockaddr_in6&>(at).sin6_scope_id != 0, "a link-local address has its interface");
}

}  // namespace

int main() {
  batches("127.0.0.1");
  batches("::1");
  refusals();
  endings();
  addresses();
  return checked();
}

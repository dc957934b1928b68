// Reading and making JavaScript values with as little ceremony as Node-API allows. A reader that meets something else than
// it wants throws a TypeError naming the key and returns false.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "names.h"

namespace causeway::napi {

class Reader {
 public:
  Reader(napi_env env, napi_value object) : env_(env), object_(object) {}
  bool failed() const { return failed_; }
  napi_env env() const { return env_; }

  bool has(const char* key) {
    napi_valuetype type = napi_undefined;
    napi_value value = get(key);
    if (value != nullptr) napi_typeof(env_, value, &type);
    return type != napi_undefined && type != napi_null;
  }
  napi_value get(const char* key) {
    napi_value value = nullptr;
    napi_get_property(env_, object_, nameOf(env_, key), &value);
    return value;
  }
  std::string text(const char* key) {
    size_t length = 0;
    napi_value value = get(key);
    if (value == nullptr || napi_get_value_string_utf8(env_, value, nullptr, 0, &length) != napi_ok || length > 65536) {
      fail(key, "a string");
      return {};
    }
    std::string out(length, '\0');
    napi_get_value_string_utf8(env_, value, out.data(), length + 1, &length);
    return out;
  }
  double number(const char* key, double low, double high) {
    double out = 0;
    napi_value value = get(key);
    if (value == nullptr || napi_get_value_double(env_, value, &out) != napi_ok || !(out >= low && out <= high)) {
      fail(key, "a number in its range");
      return low;
    }
    return out;
  }
  double numberOr(const char* key, double low, double high, double other) { return has(key) ? number(key, low, high) : other; }
  bool flag(const char* key) {
    bool out = false;
    napi_value value = get(key);
    if (value == nullptr || napi_get_value_bool(env_, value, &out) != napi_ok) fail(key, "true or false");
    return out;
  }
  std::vector<uint8_t> bytes(const char* key) {
    napi_value value = get(key);
    bool typed = false;
    if (value != nullptr) napi_is_typedarray(env_, value, &typed);
    napi_typedarray_type type{};
    size_t length = 0;
    void* data = nullptr;
    if (!typed || napi_get_typedarray_info(env_, value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_uint8_array) {
      fail(key, "a Uint8Array");
      return {};
    }
    const auto* p = static_cast<const uint8_t*>(data);
    return {p, p + length};
  }
  Reader object(const char* key) {
    napi_valuetype type = napi_undefined;
    napi_value value = get(key);
    if (value != nullptr) napi_typeof(env_, value, &type);
    if (type != napi_object) fail(key, "an object");
    return {env_, value};
  }
  // Calls `each` for every element; at most 1,000 are read.
  void list(const char* key, const std::function<void(Reader)>& each) {
    napi_value value = get(key);
    bool array = false;
    uint32_t length = 0;
    if (value != nullptr) napi_is_array(env_, value, &array);
    if (!array || napi_get_array_length(env_, value, &length) != napi_ok || length > 1000) {
      fail(key, "a list");
      return;
    }
    for (uint32_t i = 0; i < length; i++) {
      napi_value element = nullptr;
      napi_get_element(env_, value, i, &element);
      each(Reader(env_, element));
    }
  }
  // At most 1,000.
  std::vector<double> numbers(const char* key, double low, double high) {
    std::vector<double> out;
    list(key, [&](Reader element) {
      double number = 0;
      if (napi_get_value_double(env_, element.object_, &number) != napi_ok || !(number >= low && number <= high)) fail(key, "a list of numbers in their range");
      else out.push_back(number);
    });
    return out;
  }
  void fail(const char* key, const char* wanted) {
    failed_ = true;
    bool pending = false;
    napi_is_exception_pending(env_, &pending);
    if (!pending) napi_throw_type_error(env_, "bad-argument", (std::string(key) + " must be " + wanted).c_str());
  }

 private:
  napi_env env_;
  napi_value object_;
  bool failed_ = false;
};

class Writer {
 public:
  explicit Writer(napi_env env) : env_(env) { napi_create_object(env, &object_); }
  napi_value value() const { return object_; }
  Writer& set(const char* key, double number) {
    napi_value value = nullptr;
    napi_create_double(env_, number, &value);
    return set(key, value);
  }
  Writer& set(const char* key, const std::string& text) {
    napi_value value = nullptr;
    napi_create_string_utf8(env_, text.data(), text.size(), &value);
    return set(key, value);
  }
  Writer& flag(const char* key, bool on) {
    napi_value value = nullptr;
    napi_get_boolean(env_, on, &value);
    return set(key, value);
  }
  Writer& set(const char* key, napi_value value) {
    napi_set_property(env_, object_, nameOf(env_, key), value);
    return *this;
  }

 private:
  napi_env env_;
  napi_value object_ = nullptr;
};

}  // namespace causeway::napi

{
  'target_defaults': {
    'cflags_cc!': ['-fno-rtti', '-fno-exceptions', '-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++20', '-O2', '-g', '-Wall', '-Wextra', '-fexceptions', '-fvisibility=hidden'],
  },
  'targets': [
    {
      # Knows nothing of Node; its tests link it without.
      'target_name': 'mediacore',
      'type': 'static_library',
      'sources': [
        'core/audio_codec.cc', 'core/bundle.cc', 'core/g711.cc', 'core/player.cc', 'core/rtcp.cc', 'core/transcoder.cc',
        'core/transcoder_config.cc', 'core/waveform.cc',
        'net/datagrams.cc', 'net/dataplane.cc', 'net/dataplane_endpoints.cc', 'net/dataplane_paths.cc', 'net/dtls.cc',
        'net/ice_agent.cc', 'net/ice_checks.cc', 'net/ice_choice.cc', 'net/ice_transaction.cc', 'net/ports.cc',
        'net/recorder.cc', 'net/request_batch.cc', 'net/shared_port.cc', 'net/source_learner.cc',
        'net/srtp.cc', 'net/srtp_session.cc', 'net/stun.cc',
        'net/worker.cc', 'net/worker_bundle.cc', 'net/worker_checks.cc', 'net/worker_control.cc', 'net/worker_ice.cc',
        'net/worker_in.cc', 'net/worker_out.cc', 'net/worker_tap.cc', 'net/worker_voice.cc',
      ],
      'cflags': ['<!@(pkg-config --cflags opus)', '-fPIC'],
    },
    {
      'target_name': 'causeway_media',
      'dependencies': ['mediacore'],
      'sources': [
        'napi/addon.cc', 'napi/endpoint_methods.cc', 'napi/names.cc', 'napi/path_methods.cc', 'napi/playing_methods.cc',
        'napi/reading.cc', 'napi/request_socket.cc', 'napi/writing.cc',
      ],
      'defines': ['NAPI_VERSION=10', 'NODE_GYP_MODULE_NAME=causeway_media'],
      'libraries': ['<!@(pkg-config --libs opus)', '-lpthread'],
    },
  ],
}

package main

import "fmt"

// answer is what the backend says to everything: 11 bytes.
const answer = "hello world"

// common is what both configurations begin with. Everything nginx writes stays
// in its own folder.
const common = `daemon off;
pid nginx.pid;
error_log stderr warn;
worker_processes %d;
events { worker_connections 4096; }
http {
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 120s;
  keepalive_requests 1000000000;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
`

func backendConfig() string {
	return fmt.Sprintf(common, 1) + `  server {
    listen %s;
    location / { default_type text/plain; return 200 "` + answer + `"; }
  }
}
`
}

// proxyConfig sets what an application behind a proxy needs to know, as ours
// does.
func proxyConfig(backend string) string {
	return fmt.Sprintf(common, 2) + `  upstream app { server ` + backend + `; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen %s;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
      add_header X-Request-Id $request_id;
    }
  }
}
`
}

package main

import "example.com/greet/greeting"

func main() { println(greeting.To("gopher")) }

// C++ exceptions in Emscripten's scheme, and what they destroy on their way, built by Emscripten 3.1.6.
#include <csetjmp>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

struct Noisy {
    const char *name;
    explicit Noisy(const char *name) : name(name) {}
    ~Noisy() { std::printf("~%s uncaught %d\n", name, std::uncaught_exceptions()); }
};

struct Base {
    virtual ~Base() = default;
    virtual const char *name() const { return "base"; }
};

struct Other {
    int number = 3;
    virtual ~Other() = default;
};

struct Derived : Other, Base {
    const char *name() const override { return "derived"; }
};

void raise(int kind) {
    Noisy noisy("raise");
    switch (kind) {
        case 0: throw 42;
        case 1: throw std::runtime_error("runtime");
        case 2: throw Derived();
        case 3: throw "text";
        case 4: throw std::string("a string that is longer than what fits into its own object");
        case 5: static Derived derived; throw static_cast<Base *>(&derived);
        default: std::puts("nothing is thrown");
    }
}

void handle(int kind) {
    try {
        Noisy noisy("handle");
        raise(kind);
    } catch (int number) {
        std::printf("int %d\n", number);
    } catch (const std::exception &error) {
        std::printf("exception %s\n", error.what());
    } catch (const Base &base) {
        std::printf("base %s\n", base.name());
    } catch (Base *base) {
        std::printf("pointer to %s\n", base->name());
    } catch (const char *text) {
        std::printf("text %s\n", text);
    } catch (...) {
        std::printf("something, uncaught %d\n", std::uncaught_exceptions());
    }
}

void rethrow() {
    try {
        try {
            raise(1);
        } catch (const std::exception &error) {
            std::printf("first %s\n", error.what());
            throw;
        }
    } catch (const std::runtime_error &error) {
        std::printf("second %s\n", error.what());
    }
}

void nested() {
    try {
        raise(0);
    } catch (int) {
        try {
            raise(1);
        } catch (std::exception &) {
            std::printf("inside %d\n", std::current_exception() != nullptr);
        }
        std::exception_ptr kept = std::current_exception();
        try {
            std::rethrow_exception(kept);
        } catch (int number) {
            std::printf("again %d\n", number);
        }
    }
}

std::jmp_buf buffer;

void jump(int depth) {
    if (depth == 0) std::longjmp(buffer, 7);
    jump(depth - 1);
}

}  // namespace

int main() {
    for (int kind = 0; kind < 7; kind++) handle(kind);
    rethrow();
    nested();
    int jumped = setjmp(buffer);
    std::printf("jumped %d\n", jumped);
    if (jumped == 0) jump(10);
    try {
        std::string("short").at(9);
    } catch (const std::out_of_range &) {
        std::puts("out of range");
    }
    return 0;
}

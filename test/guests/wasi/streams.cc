// A program in C++ on libc++: streams, containers, files. Its status is 0.
#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

struct Counted {
    explicit Counted(const char *name) : name(name) { std::cout << "begin " << name << "\n"; }
    ~Counted() { std::cout << "end " << name << std::endl; }
    const char *name;
};

static Counted global("global");

int main() {
    std::map<std::string, int> words;
    std::string line, word;
    while (std::getline(std::cin, line)) {
        std::istringstream in(line);
        while (in >> word) words[word]++;
    }
    for (const auto &[text, count] : words) std::cout << std::left << std::setw(8) << text << count << "\n";
    std::vector<double> numbers;
    for (int i = 0; i < 10; i++) numbers.push_back(1.0 / (1 + i * i % 7));
    std::sort(numbers.begin(), numbers.end());
    std::cout << std::fixed << std::setprecision(4);
    for (double number : numbers) std::cout << number << " ";
    std::cout << "\n";
    {
        std::ofstream out("/words.txt");
        for (const auto &[text, count] : words) out << text << "=" << count << "\n";
    }
    std::ifstream in("/words.txt");
    std::stringstream all;
    all << in.rdbuf();
    std::cout << all.str().size() << " bytes, hex " << std::hex << 255 << "\n";
    std::cerr << "done" << std::endl;
    return 0;
}
